import { useMemo, useState } from "react";

import { Dialog } from "./Dialog";
import { Icon } from "../shared/Icon";
import { output, valueAt } from "./liquid";
import type { Field } from "./types";

interface Props {
  fields: Field[];
  values: Record<string, unknown>;
  personName: string;
  onInsert: (text: string) => void;
  onClose: () => void;
}

const GROUPS: [Field["group"], string][] = [
  ["profile", "Profile"],
  ["event", "Event"],
  ["link", "Links"],
  ["brand", "Brand"],
];

/** Finds a field, asks what to write when it is missing, and shows what the chosen person would read. */
export function FieldPicker({ fields, values, personName, onInsert, onClose }: Props) {
  const [query, setQuery] = useState("");
  const [chosen, setChosen] = useState<Field | null>(null);
  const found = useMemo(() => {
    const asked = query.trim().toLowerCase();
    return fields.filter(({ path, label }) => `${path} ${label}`.toLowerCase().includes(asked));
  }, [fields, query]);

  if (chosen) {
    return (
      <Fallback
        field={chosen}
        value={valueAt(values, chosen.path)}
        personName={personName}
        onInsert={onInsert}
        onBack={() => setChosen(null)}
        onClose={onClose}
      />
    );
  }
  const choose = (field: Field) => (needsFallback(field) ? setChosen(field) : onInsert(output(field.path, "")));
  return (
    <Dialog title="Insert a field" onClose={onClose}>
      <label className="ce-search">
        <Icon name="search" />
        <span className="ce-hidden">Search fields</span>
        <input
          autoFocus
          type="search"
          placeholder="First name, order number…"
          value={query}
          onChange={(event) => setQuery(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && found[0]) {
              event.preventDefault();
              choose(found[0]);
            }
          }}
        />
      </label>
      <div className="ce-fields" tabIndex={-1}>
        {GROUPS.map(([group, title]) => {
          const members = found.filter((field) => field.group === group);
          if (!members.length) return null;
          return (
            <section key={group} aria-label={title}>
              <h3>{title}</h3>
              <ul>
                {members.map((field) => (
                  <li key={field.path}>
                    <button type="button" onClick={() => choose(field)}>
                      <span>{field.label}</span>
                      <code>{field.path}</code>
                      <span className="ce-live">{valueAt(values, field.path) ?? "–"}</span>
                    </button>
                  </li>
                ))}
              </ul>
            </section>
          );
        })}
        {!found.length && (
          <p className="ce-empty">
            No field is called like that. Choose a person or an event in the preview who has it, and it is listed.
          </p>
        )}
      </div>
    </Dialog>
  );
}

function needsFallback({ group }: Field): boolean {
  return group === "profile" || group === "event";
}

interface FallbackProps {
  field: Field;
  value: string | null;
  personName: string;
  onInsert: (text: string) => void;
  onBack: () => void;
  onClose: () => void;
}

function Fallback({ field, value, personName, onInsert, onBack, onClose }: FallbackProps) {
  const [fallback, setFallback] = useState("");
  const isReady = fallback.trim() !== "";
  return (
    <Dialog title={field.label} onClose={onClose}>
      <form
        className="ce-form"
        onSubmit={(event) => {
          event.preventDefault();
          if (isReady) onInsert(output(field.path, fallback.trim()));
        }}
      >
        <label>
          <span>What to write for people without it</span>
          <input autoFocus required value={fallback} onChange={(event) => setFallback(event.target.value)} />
        </label>
        <dl className="ce-reads">
          <dt>{personName}</dt>
          <dd>{value ?? (fallback || "–")}</dd>
        </dl>
        <code className="ce-written">{output(field.path, fallback.trim() || "…")}</code>
        <footer>
          <button type="button" className="ce-button" onClick={onBack}>
            Back
          </button>
          <button type="submit" className="ce-button is-primary" disabled={!isReady}>
            Insert
          </button>
        </footer>
      </form>
    </Dialog>
  );
}
