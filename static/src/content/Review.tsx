import { memo, useState } from "react";

import { Icon } from "../shared/Icon";
import type { Check, Finding, WordField } from "./types";
import { words } from "./words";

interface Props {
  labels: Record<WordField, string>;
  problems: Finding[];
  checks: Check[];
  onJump: (field: WordField, line: number | null) => void;
}

const ICONS = { ok: "check_circle", advice: "lightbulb", warning: "warning", error: "error" };
/** What is wrong and what is to be looked at before sending; each line leads to its place. */
export const Review = memo(function Review({ labels, problems, checks, onJump }: Props) {
  const [wanted, setWanted] = useState<boolean | null>(null);
  const errors = problems.filter(({ level }) => level === "error");
  const hints = [...problems.filter(({ level }) => level !== "error"), ...checks.filter(({ level }) => level !== "ok")];
  const passed = checks.filter(({ level }) => level === "ok");
  const items = [...errors, ...hints.filter((hint) => !errors.some((error) => error.message === hint.message))];
  const isOpen = wanted ?? items.length > 0;
  return (
    <section className="ce-review" aria-label="Review">
      <button type="button" className="ce-review-head" aria-expanded={isOpen} onClick={() => setWanted(!isOpen)}>
        <Icon name={errors.length ? "error" : hints.length ? "warning" : "check_circle"} />
        <span aria-live="polite" className={errors.length ? "is-error" : ""}>
          {words.problems(errors.length)}, {words.hints(items.length - errors.length)}
        </span>
        <Icon name={isOpen ? "expand_more" : "expand_less"} />
      </button>
      {isOpen && (
        <ul tabIndex={0} aria-label="Problems and checks">
          {items.map((item, index) => (
            <li key={index} className={`is-${item.level}`}>
              <Icon name={ICONS[item.level]} />
              {item.field ? (
                <button type="button" onClick={() => onJump(item.field as WordField, item.line)}>
                  <b>
                    {labels[item.field]}
                    {item.line ? `, ${words.line(item.line).toLowerCase()}` : ""}
                  </b>{" "}
                  {item.message}
                </button>
              ) : (
                <span>{item.message}</span>
              )}
            </li>
          ))}
          {passed.map((check) => (
            <li key={check.code} className="is-ok">
              <Icon name={ICONS.ok} />
              <span>{check.message}</span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
});
