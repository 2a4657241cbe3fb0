import { forwardRef, type ReactNode, useId } from "react";

import { Icon } from "../shared/Icon";
import type { Finding } from "./types";

interface Props {
  label: string;
  value: string;
  rows: number;
  isReadOnly: boolean;
  findings: Finding[];
  onChange: (value: string) => void;
  onPick: () => void;
  /** What stands below the text, such as its length. */
  children?: ReactNode;
}

/** Several lines of authored text with a button that inserts a field. */
export const Area = forwardRef<HTMLTextAreaElement, Props>(function Area(props, input) {
  const { label, value, rows, isReadOnly, findings, onChange, onPick, children } = props;
  const id = useId();
  return (
    <div className="ce-line is-tall">
      <label htmlFor={id}>{label}</label>
      <div className="ce-line-box">
        <textarea
          id={id}
          ref={input}
          rows={rows}
          value={value}
          readOnly={isReadOnly}
          aria-invalid={findings.some(({ level }) => level === "error")}
          aria-describedby={findings.length ? `${id}-said` : undefined}
          onChange={(event) => onChange(event.target.value)}
        />
        {!isReadOnly && (
          <button type="button" className="ce-icon-button" aria-label={`Insert a field into the ${label.toLowerCase()}`} onClick={onPick}>
            <Icon name="data_object" />
          </button>
        )}
      </div>
      {children}
      {findings.length > 0 && (
        <p id={`${id}-said`} className="ce-problem">
          {findings.map(({ line, message }) => (line && line > 1 ? `Line ${line}: ${message}` : message)).join(" ")}
        </p>
      )}
    </div>
  );
});
