import { useEffect, useId, useRef, useState } from "react";

import { Icon } from "../shared/Icon";
import { findPeople } from "./server";
import type { Boot, Person } from "./types";
import { words } from "./words";

interface Props {
  boot: Boot;
  person: Person | null;
  onChange: (person: Person | null) => void;
}

/** A combobox of people: type to search, arrows to move, Enter to choose. The first choice is nobody. */
export function PersonPicker({ boot, person, onChange }: Props) {
  const [isOpen, setOpen] = useState(false);
  const [query, setQuery] = useState("");
  const [people, setPeople] = useState<Person[]>([]);
  const [failure, setFailure] = useState("");
  const [active, setActive] = useState(0);
  const input = useRef<HTMLInputElement>(null);
  const id = useId();
  const options: (Person | null)[] = [null, ...people];

  useEffect(() => {
    if (!isOpen) return;
    const abort = new AbortController();
    const timer = window.setTimeout(() => {
      findPeople(boot, query.trim(), abort.signal).then(
        (found) => {
          setPeople(found);
          setFailure("");
          setActive(query.trim() && found.length ? 1 : 0);
        },
        (error: unknown) => abort.signal.aborted || setFailure(error instanceof Error ? error.message : String(error)),
      );
    }, 200);
    return () => {
      window.clearTimeout(timer);
      abort.abort();
    };
  }, [boot, isOpen, query]);

  const close = () => {
    setOpen(false);
    setQuery("");
  };
  const choose = (chosen: Person | null) => {
    onChange(chosen);
    close();
  };
  const onKeyDown = (event: React.KeyboardEvent) => {
    if (event.key === "Escape" && isOpen) {
      event.preventDefault();
      close();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!isOpen) setOpen(true);
      else setActive((at) => (at + (event.key === "ArrowDown" ? 1 : -1) + options.length) % options.length);
    } else if (event.key === "Enter" && isOpen) {
      event.preventDefault();
      choose(options[active] ?? null);
    }
  };

  return (
    <div className="ce-person" onBlur={(event) => !event.currentTarget.contains(event.relatedTarget) && close()}>
      <Icon name="person" />
      <input
        ref={input}
        role="combobox"
        aria-label="Preview as"
        aria-expanded={isOpen}
        aria-controls={`${id}-list`}
        aria-autocomplete="list"
        aria-activedescendant={isOpen ? `${id}-${active}` : undefined}
        placeholder={isOpen ? "Name or address" : ""}
        value={isOpen ? query : (person?.name ?? words.nobody)}
        onClick={() => setOpen(true)}
        onChange={(event) => {
          setOpen(true);
          setQuery(event.target.value);
        }}
        onKeyDown={onKeyDown}
      />
      <ul id={`${id}-list`} role="listbox" aria-label="People" hidden={!isOpen}>
        {options.map((option, index) => (
          <li
            key={option?.id ?? "nobody"}
            id={`${id}-${index}`}
            role="option"
            aria-selected={index === active}
            onMouseDown={(event) => event.preventDefault()}
            onMouseEnter={() => setActive(index)}
            onClick={() => choose(option)}
          >
            <span>{option?.name ?? words.nobody}</span>
            <small>{option?.detail ?? words.nobodyDetail}</small>
          </li>
        ))}
      </ul>
      {isOpen && failure && (
        <p className="ce-problem" role="alert">
          {failure}
        </p>
      )}
    </div>
  );
}
