import { type ReactNode, useEffect, useId, useRef } from "react";

import { Icon } from "../shared/Icon";

interface Props {
  title: string;
  onClose: () => void;
  children: ReactNode;
  isWide?: boolean;
}

/** A modal dialog: the browser keeps the focus inside, closes it on Esc and gives the focus back. */
export function Dialog({ title, onClose, children, isWide = false }: Props) {
  const element = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => {
    const dialog = element.current!;
    dialog.showModal();
    return () => dialog.close();
  }, []);
  return (
    <dialog
      ref={element}
      className={isWide ? "ce-dialog is-wide" : "ce-dialog"}
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => event.target === element.current && onClose()}
    >
      <div className="ce-dialog-box">
        <header>
          <h2 id={titleId}>{title}</h2>
          <button type="button" className="ce-icon-button" aria-label="Close" onClick={onClose}>
            <Icon name="close" />
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}
