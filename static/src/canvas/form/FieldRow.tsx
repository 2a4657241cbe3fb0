import { useId } from "react";

import type { Field, Problem, Value } from "../types";
import { Control } from "./Control";
import { ListField } from "./ListField";

interface Props {
  field: Field;
  value: Value;
  path: string;
  problems: Problem[];
  /** `undefined` takes the setting away. `at` is the deeper path that changed, in a list. */
  onChange: (value: Value | undefined, at?: string) => void;
}

/** One setting: its label, its control, what it means, and what is wrong with it. */
export function FieldRow({ field, value, path, problems, onChange }: Props) {
  const id = useId();
  const mine = problems.filter((problem) => problem.field === path);
  const described = [field.help && `${id}-help`, mine.length > 0 && `${id}-problems`].filter(Boolean).join(" ");
  const isGroup = field.type === "list" || field.type === "choices";
  const below = (
    <>
      {field.help && (
        <span className="jc-hint" id={`${id}-help`}>
          {field.help}
        </span>
      )}
      {mine.length > 0 && (
        <span id={`${id}-problems`}>
          {mine.map((problem) => (
            <span key={problem.message} className={`jc-note is-${problem.level}`}>
              {problem.message}
            </span>
          ))}
        </span>
      )}
    </>
  );
  if (isGroup)
    return (
      <fieldset className="jc-field" aria-describedby={described || undefined}>
        <legend className="jc-label">{field.label}</legend>
        {field.type === "list" ? (
          <ListField field={field} value={value} path={path} problems={problems} onChange={onChange} />
        ) : (
          <Control field={field} id={id} value={value} invalid={mine.length > 0} described={described} onChange={onChange} />
        )}
        {below}
      </fieldset>
    );
  return (
    <div className={`jc-field is-${field.type}`}>
      <label className={`jc-label${field.required ? " is-required" : ""}`} htmlFor={id}>
        {field.label}
      </label>
      <Control field={field} id={id} value={value} invalid={mine.length > 0} described={described} onChange={onChange} />
      {below}
    </div>
  );
}
