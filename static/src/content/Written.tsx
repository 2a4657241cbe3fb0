import { type ReactNode, useId } from "react";

import { Icon } from "../shared/Icon";
import type { Finding } from "./types";

/** What every field of authored text is told. */
export interface WrittenProps {
  label: string;
  value: string;
  isReadOnly: boolean;
  findings: Finding[];
  onChange: (value: string) => void;
  onPick: () => void;
}

/** What names the control and says what is wrong with it. */
interface Attributes {
  id: string;
  "aria-invalid": boolean;
  "aria-describedby": string | undefined;
}

interface Props extends Omit<WrittenProps, "value" | "onChange"> {
  isTall?: boolean;
  control: (attributes: Attributes) => ReactNode;
  /** What stands below the text, such as its length. */
  children?: ReactNode;
}

/** The frame of a field of authored text: its label, a button that inserts a field, and its problems. */
export function Written({ label, isReadOnly, findings, onPick, isTall = false, control, children }: Props) {
  const id = useId();
  return (
    <div className={isTall ? "ce-line is-tall" : "ce-line"}>
      <label htmlFor={id}>{label}</label>
      <div className="ce-line-box">
        {control({
          id,
          "aria-invalid": findings.some(({ level }) => level === "error"),
          "aria-describedby": findings.length ? `${id}-said` : undefined,
        })}
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
}
