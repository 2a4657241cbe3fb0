import { forwardRef, useId } from "react";

import { Icon } from "../shared/Icon";
import type { Finding } from "./types";

interface Props {
  label: string;
  help?: string;
  value: string;
  isReadOnly: boolean;
  findings: Finding[];
  onChange: (value: string) => void;
  onPick: () => void;
  maxLength?: number;
}

/** One line of authored text with a button that inserts a field. */
export const Line = forwardRef<HTMLInputElement, Props>(function Line(props, input) {
  const { label, help, value, isReadOnly, findings, onChange, onPick, maxLength = 500 } = props;
  const id = useId();
  return (
    <div className="ce-line">
      <label htmlFor={id}>{label}</label>
      <div className="ce-line-box">
        <input
          id={id}
          ref={input}
          value={value}
          maxLength={maxLength}
          readOnly={isReadOnly}
          placeholder={help ?? ""}
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
      {findings.length > 0 && (
        <p id={`${id}-said`} className="ce-problem">
          {findings.map(({ message }) => message).join(" ")}
        </p>
      )}
    </div>
  );
});
