import { useId } from "react";

import { Icon } from "../shared/Icon";
import type { Column, Finding, Place } from "./types";

interface Props {
  title: string;
  help: string;
  /** What one of them is called: a column, a value. */
  one: string;
  columns: Column[];
  isReadOnly: boolean;
  findings: Finding[];
  onChange: (columns: Column[]) => void;
  onPick: (place: Place) => void;
  keep: (place: Place, input: HTMLInputElement | null) => void;
}

/** Named texts in their order, one in each row. */
export function Columns({ title, help, one, columns, isReadOnly, findings, onChange, onPick, keep }: Props) {
  const id = useId();
  const edit = (index: number, column: Column) => onChange(columns.map((each, at) => (at === index ? column : each)));
  const move = (index: number) => {
    const next = [...columns];
    next.splice(index - 1, 0, ...next.splice(index, 1));
    onChange(next);
  };
  const general = findings.filter(({ line }) => line === null);
  return (
    <fieldset className="ce-columns" aria-describedby={`${id}-help`}>
      <legend>{title}</legend>
      <p id={`${id}-help`} className="ce-hint">
        {help}
      </p>
      {columns.map(([name, source], index) => {
        const said = findings.filter(({ line }) => line === index + 1);
        const called = name || `${one} ${index + 1}`;
        return (
          <div className="ce-column" key={index}>
            <input
              className="ce-column-name"
              aria-label={`Name of ${one} ${index + 1}`}
              placeholder="Name"
              value={name}
              maxLength={200}
              readOnly={isReadOnly}
              onChange={(event) => edit(index, [event.target.value, source])}
            />
            <div className="ce-line-box">
              <input
                ref={(input) => keep(`columns.${index}`, input)}
                aria-label={`Value of ${called}`}
                placeholder="Value"
                value={source}
                maxLength={2000}
                readOnly={isReadOnly}
                aria-invalid={said.length > 0}
                aria-describedby={said.length ? `${id}-${index}` : undefined}
                onChange={(event) => edit(index, [name, event.target.value])}
              />
              {!isReadOnly && (
                <button
                  type="button"
                  className="ce-icon-button"
                  aria-label={`Insert a field into ${called}`}
                  onClick={() => onPick(`columns.${index}`)}
                >
                  <Icon name="data_object" />
                </button>
              )}
            </div>
            {!isReadOnly && (
              <span className="ce-column-verbs">
                <button
                  type="button"
                  className="ce-icon-button"
                  aria-label={`Move ${called} up`}
                  disabled={index === 0}
                  onClick={() => move(index)}
                >
                  <Icon name="arrow_upward" />
                </button>
                <button
                  type="button"
                  className="ce-icon-button"
                  aria-label={`Remove ${called}`}
                  onClick={() => onChange(columns.filter((_, at) => at !== index))}
                >
                  <Icon name="delete" />
                </button>
              </span>
            )}
            {said.length > 0 && (
              <p id={`${id}-${index}`} className="ce-problem">
                {said.map(({ message }) => message).join(" ")}
              </p>
            )}
          </div>
        );
      })}
      {general.length > 0 && <p className="ce-problem">{general.map(({ message }) => message).join(" ")}</p>}
      {!isReadOnly && (
        <button type="button" className="ce-button" onClick={() => onChange([...columns, ["", ""]])}>
          <Icon name="add" />
          <span>Add a {one}</span>
        </button>
      )}
    </fieldset>
  );
}
