import { useEffect, useRef } from "react";
import type { ReactNode } from "react";

import { Icon } from "../shared/Icon";
import { useEditor } from "./store";

interface Props {
  title: string;
  icon: string;
  tone?: string;
  children: ReactNode;
  footer?: ReactNode;
}

/** The panel beside the map; on a phone it comes from below. The focus goes in when it opens. */
export function Side({ title, icon, tone = "other", children, footer }: Props) {
  const editor = useEditor();
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <aside className={`jc-side jc-tone-${tone}`} aria-label={title}>
      <header className="jc-side-head">
        <span className="jc-card-icon">
          <Icon name={icon} />
        </span>
        <h2 tabIndex={-1} ref={heading}>
          {title}
        </h2>
        <button
          type="button"
          className="jc-button is-icon"
          aria-label="Close the panel"
          title="Close (Esc)"
          onClick={() => editor.closePanel()}
        >
          <Icon name="close" />
        </button>
      </header>
      <div className="jc-side-body">{children}</div>
      {footer && <footer className="jc-side-foot">{footer}</footer>}
    </aside>
  );
}
