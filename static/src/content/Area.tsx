import { forwardRef, type ReactNode } from "react";

import { Written, type WrittenProps } from "./Written";

interface Props extends WrittenProps {
  rows: number;
  /** What stands below the text, such as its length. */
  children?: ReactNode;
}

/** Several lines of authored text with a button that inserts a field. */
export const Area = forwardRef<HTMLTextAreaElement, Props>(function Area({ value, rows, onChange, ...frame }, input) {
  return (
    <Written
      {...frame}
      isTall
      control={(attributes) => (
        <textarea {...attributes} ref={input} rows={rows} value={value} readOnly={frame.isReadOnly} onChange={(event) => onChange(event.target.value)} />
      )}
    />
  );
});
