import { Icon } from "../../shared/Icon";
import { isRecord } from "../graph";
import type { Config, Field, Problem, Value } from "../types";
import { Fields } from "./Fields";

interface Props {
  field: Field;
  value: Value;
  path: string;
  problems: Problem[];
  onChange: (value: Value, at?: string) => void;
}

/** A list of objects: rows to add, remove and move. A row's "id" names an exit: it is given once and never changes. */
export function ListField({ field, value, path, problems, onChange }: Props) {
  const rows = (Array.isArray(value) ? value : []).map((row) => (isRecord(row) ? row : {}));
  const fields = field.fields ?? [];
  const asked = fields.filter((each) => each.name !== "id");
  const replace = (index: number, row: Config, at: string): void =>
    onChange(rows.map((each, i) => (i === index ? row : each)), at);
  const move = (index: number, by: number): void => {
    const moved = [...rows];
    moved.splice(index + by, 0, ...moved.splice(index, 1));
    onChange(moved, `${path} moved`);
  };
  return (
    <>
      <ol className="jc-rows">
        {rows.map((row, index) => {
          const name = `${field.label} ${index + 1}`;
          return (
            <li key={typeof row["id"] === "string" ? row["id"] : index}>
              <div className="jc-rows-head">
                <span>{index + 1}</span>
                {typeof row["id"] === "string" && <code title="The name of this exit in reports">{row["id"]}</code>}
                <button type="button" className="jc-button is-icon" disabled={index === 0} aria-label={`Move ${name} up`} onClick={() => move(index, -1)}>
                  <Icon name="arrow_upward" />
                </button>
                <button
                  type="button"
                  className="jc-button is-icon"
                  disabled={index === rows.length - 1}
                  aria-label={`Move ${name} down`}
                  onClick={() => move(index, 1)}
                >
                  <Icon name="arrow_downward" />
                </button>
                <button
                  type="button"
                  className="jc-button is-icon"
                  disabled={rows.length <= (field.min_items ?? 0)}
                  aria-label={`Remove ${name}`}
                  onClick={() => onChange(rows.filter((_row, i) => i !== index), `${path} removed ${index}`)}
                >
                  <Icon name="delete" />
                </button>
              </div>
              <Fields
                fields={asked}
                values={row}
                path={`${path}.${index}`}
                problems={problems}
                onChange={(changed, at) => replace(index, changed, at)}
              />
            </li>
          );
        })}
      </ol>
      <button
        type="button"
        className="jc-button"
        disabled={rows.length >= (field.max_items ?? Infinity)}
        onClick={() => onChange([...rows, newRow(fields, rows)], `${path} added ${rows.length}`)}
      >
        <Icon name="add" /> Add
      </button>
    </>
  );
}

function newRow(fields: Field[], rows: Config[]): Config {
  const row: Config = {};
  for (const field of fields) if (field.default !== null) row[field.name] = structuredClone(field.default);
  if (fields.some((field) => field.name === "id")) row["id"] = freeRowId(rows);
  return row;
}

/** a, b, c …, then p27: never one that was there, or people of an older version would be counted with it. */
function freeRowId(rows: Config[]): string {
  const taken = new Set(rows.map((row) => row["id"]));
  const letters = [..."abcdefghijklmnopqrstuvwxyz"];
  return letters.find((letter) => !taken.has(letter)) ?? `p${rows.length + 1}`;
}
