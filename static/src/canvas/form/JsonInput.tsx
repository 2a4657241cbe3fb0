import { useState } from "react";

import type { Value } from "../types";

interface Props {
  id: string;
  value: Value;
  onChange: (value: Value) => void;
}

/** Any JSON value as text. What cannot be read yet stays in the box and is not taken over. */
export function JsonInput({ value, onChange, ...rest }: Props) {
  const [text, setText] = useState(() => JSON.stringify(value, null, 2));
  const [isBroken, setBroken] = useState(false);
  return (
    <>
      <textarea
        {...rest}
        className="is-code"
        rows={5}
        spellCheck={false}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          try {
            onChange(JSON.parse(event.target.value) as Value);
            setBroken(false);
          } catch {
            setBroken(true);
          }
        }}
      />
      {isBroken && <span className="jc-note is-error">This is no JSON yet, so the last readable value is kept.</span>}
    </>
  );
}
