import type { Field, Value } from "../types";
import { DurationInput } from "./DurationInput";
import { JsonInput } from "./JsonInput";
import { PICKED, Picker } from "./Picker";

interface Props {
  field: Field;
  id: string;
  value: Value;
  invalid: boolean;
  described: string;
  onChange: (value: Value | undefined) => void;
}

/** The input of one setting, by its widget or else by its type. */
export function Control({ field, id, value, invalid, described, onChange }: Props) {
  const common = {
    id,
    "aria-invalid": invalid || undefined,
    "aria-describedby": described || undefined,
    "aria-required": field.required || undefined,
  };
  const text = typeof value === "string" || typeof value === "number" ? String(value) : "";
  const onText = (changed: string): void => onChange(changed === "" && field.nullable ? null : changed);

  if (field.widget in PICKED) return <Picker {...common} widget={field.widget} value={text} onChange={onText} />;
  if (field.widget === "json") return <JsonInput {...common} value={value} onChange={onChange} />;
  if (field.widget === "expression" || field.widget === "textarea")
    return (
      <textarea
        {...common}
        rows={field.widget === "expression" ? 3 : 4}
        className={field.widget === "expression" ? "is-code" : ""}
        spellCheck={field.widget !== "expression"}
        maxLength={field.max_length}
        value={text}
        onChange={(event) => onText(event.target.value)}
      />
    );
  switch (field.type) {
    case "integer":
    case "number":
      return (
        <input
          {...common}
          type="number"
          min={field.min}
          max={field.max}
          step={field.type === "integer" ? 1 : "any"}
          value={text}
          onChange={(event) => onChange(event.target.value === "" ? null : event.target.valueAsNumber)}
        />
      );
    case "boolean":
      return (
        <input {...common} type="checkbox" checked={value === true} onChange={(event) => onChange(event.target.checked)} />
      );
    case "choice":
      return (
        <select
          {...common}
          value={text}
          onChange={(event) => onChange(field.choices?.find(({ value: each }) => String(each) === event.target.value)?.value)}
        >
          {!field.choices?.some((choice) => String(choice.value) === text) && <option value="">Choose…</option>}
          {field.choices?.map((choice) => (
            <option key={choice.value} value={String(choice.value)}>
              {choice.label}
            </option>
          ))}
        </select>
      );
    case "choices": {
      const chosen = Array.isArray(value) ? value : [];
      return (
        <span className="jc-chips">
          {field.choices?.map((choice) => (
            <label key={choice.value} className="jc-chip">
              <input
                type="checkbox"
                checked={chosen.includes(choice.value)}
                onChange={(event) =>
                  // In the order of the choices, whichever was ticked first.
                  onChange(
                    field.choices!
                      .map((each) => each.value)
                      .filter((each) => (each === choice.value ? event.target.checked : chosen.includes(each))),
                  )
                }
              />
              {choice.label}
            </label>
          ))}
        </span>
      );
    }
    case "values":
      return (
        <textarea
          {...common}
          rows={3}
          placeholder="One per line"
          value={Array.isArray(value) ? value.join("\n") : ""}
          onChange={(event) => onChange(event.target.value === "" ? [] : event.target.value.split("\n"))}
        />
      );
    case "duration":
      return <DurationInput {...common} value={text} onChange={onText} />;
    case "time":
    case "date":
      return (
        <input
          {...common}
          type={field.type}
          value={field.type === "time" ? text.slice(0, 5) : text}
          onChange={(event) => onText(event.target.value)}
        />
      );
    case "datetime":
      return (
        <input
          {...common}
          type="datetime-local"
          value={text.slice(0, 16)}
          onChange={(event) => onText(event.target.value)}
        />
      );
    default:
      return (
        <input
          {...common}
          type="text"
          maxLength={field.max_length}
          value={text}
          onChange={(event) => onText(event.target.value)}
        />
      );
  }
}
