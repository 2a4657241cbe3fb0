import { isRecord } from "../graph";
import type { Config, Field, Problem, Value } from "../types";
import { FieldRow } from "./FieldRow";

interface Props {
  fields: Field[];
  values: Config;
  /** Where these settings stand in those of the box: "" or "paths.0". */
  path: string;
  problems: Problem[];
  /** All the settings, and the path of the one that changed. */
  onChange: (values: Config, field: string) => void;
}

/** A form drawn from a description: what counts now, in the order of the description. */
export function Fields({ fields, values, path, problems, onChange }: Props) {
  const now = (name: string): Value => values[name] ?? fields.find((field) => field.name === name)?.default ?? null;
  const counts = (field: Field): boolean =>
    Object.entries(field.shown_when ?? {}).every(([other, wanted]) => wanted.includes(now(other)));
  return fields.filter(counts).map((field) => {
    const fieldPath = path ? `${path}.${field.name}` : field.name;
    const set = (value: Value | undefined, at = fieldPath): void => {
      const { [field.name]: _old, ...others } = values;
      onChange(value === undefined ? others : { ...others, [field.name]: value }, at);
    };
    if (field.type === "object") {
      const inner = now(field.name);
      return (
        <fieldset key={field.name} className="jc-object">
          <legend>{field.label}</legend>
          <Fields
            fields={field.fields ?? []}
            values={isRecord(inner) ? inner : {}}
            path={fieldPath}
            problems={problems}
            onChange={set}
          />
        </fieldset>
      );
    }
    return (
      <FieldRow key={field.name} field={field} value={now(field.name)} path={fieldPath} problems={problems} onChange={set} />
    );
  });
}
