import { forwardRef } from "react";

import { Written, type WrittenProps } from "./Written";

interface Props extends WrittenProps {
  help?: string;
  maxLength?: number;
}

/** One line of authored text with a button that inserts a field. */
export const Line = forwardRef<HTMLInputElement, Props>(function Line({ help = "", value, maxLength = 500, onChange, ...frame }, input) {
  return (
    <Written
      {...frame}
      control={(attributes) => (
        <input
          {...attributes}
          ref={input}
          value={value}
          maxLength={maxLength}
          readOnly={frame.isReadOnly}
          placeholder={help}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    />
  );
});
