import { useEffect, useId, useRef, useState } from "react";
import type { KeyboardEvent } from "react";

import { call } from "../../shared/api";
import { Icon } from "../../shared/Icon";
import { useEditor } from "../store";

interface Item {
  value: string;
  label: string;
  detail: string;
}

interface Source {
  path: string;
  /** What the list calls the value that is stored. */
  item: (row: Record<string, unknown>) => Item;
  placeholder: string;
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");

/** Widgets whose value is picked from a list of the API. What is not in the list can still be typed. */
export const PICKED: Record<string, Source> = {
  content: {
    path: "contents/",
    item: (row) => ({ value: text(row["key"]), label: text(row["name"]), detail: text(row["channel"]) }),
    placeholder: "Choose a content",
  },
  configuration: {
    path: "configurations/",
    item: (row) => ({ value: text(row["key"]), label: text(row["name"]), detail: text(row["channel"]) }),
    placeholder: "Choose a channel configuration",
  },
  event: {
    path: "event-types/",
    item: (row) => ({ value: text(row["name"]), label: text(row["name"]), detail: "" }),
    placeholder: "Choose or type an event",
  },
  audience: {
    path: "audiences/",
    item: (row) => ({ value: text(row["key"]), label: text(row["name"]), detail: text(row["state"]) }),
    placeholder: "Choose an audience",
  },
  attribute: {
    path: "attributes/",
    item: (row) => ({ value: text(row["key"]), label: text(row["label"]), detail: text(row["type"]) }),
    placeholder: "Choose an attribute",
  },
};

interface Props {
  id: string;
  widget: string;
  value: string;
  onChange: (value: string) => void;
}

export function Picker({ id, widget, value, onChange, ...rest }: Props) {
  const editor = useEditor();
  const source = PICKED[widget]!;
  const [items, setItems] = useState<Item[] | null>(null);
  const [isOpen, setOpen] = useState(false);
  const [typed, setTyped] = useState<string | null>(null);
  const [active, setActive] = useState(0);
  const input = useRef<HTMLInputElement>(null);
  const listId = useId();

  useEffect(() => {
    const stop = new AbortController();
    call<{ results: Record<string, unknown>[] }>("GET", `${editor.boot.api}${source.path}?limit=200`, undefined, stop.signal).then(
      (page) => setItems(page.results.map(source.item)),
      () => stop.signal.aborted || setItems([]),
    );
    return () => stop.abort();
  }, [editor, source]);

  const chosen = items?.find((item) => item.value === value);
  const shown = typed ?? chosen?.label ?? value;
  const wanted = (typed ?? "").trim().toLowerCase();
  const found = (items ?? []).filter((item) => `${item.label} ${item.value}`.toLowerCase().includes(wanted)).slice(0, 50);
  const close = (): void => {
    setOpen(false);
    setTyped(null);
    setActive(0);
  };
  const take = (picked: string): void => {
    if (picked !== value) onChange(picked);
    close();
  };
  /** What was typed counts: a name from the list, or else the text itself. */
  const leave = (): void => {
    if (typed !== null) take(found.find((item) => item.label.toLowerCase() === wanted)?.value ?? typed.trim());
    else close();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setOpen(true);
      if (isOpen && found.length > 0)
        setActive((active + (event.key === "ArrowDown" ? 1 : found.length - 1)) % found.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      const item = isOpen ? found[active] : undefined;
      if (item) take(item.value);
      else leave();
    } else if (event.key === "Escape" && isOpen) {
      event.stopPropagation();
      close();
    }
  };
  return (
    <span className="jc-picker">
      <input
        {...rest}
        ref={input}
        id={id}
        type="text"
        role="combobox"
        aria-expanded={isOpen}
        aria-controls={listId}
        aria-autocomplete="list"
        aria-activedescendant={isOpen && found.length > 0 ? `${listId}-${active}` : undefined}
        autoComplete="off"
        placeholder={source.placeholder}
        value={shown}
        onClick={() => setOpen(true)}
        onChange={(event) => {
          setTyped(event.target.value);
          setOpen(true);
          setActive(0);
        }}
        onKeyDown={onKeyDown}
        onBlur={leave}
      />
      <Icon name="unfold_more" />
      {isOpen && (
        <ul className="jc-listbox" role="listbox" id={listId} aria-label={source.placeholder}>
          {found.map((item, index) => (
            <li
              key={item.value}
              id={`${listId}-${index}`}
              role="option"
              aria-selected={index === active}
              onPointerDown={(event) => {
                event.preventDefault(); // before the input loses its focus and closes the list
                take(item.value);
              }}
            >
              <span>{item.label}</span>
              <span className="jc-detail">{[item.value === item.label ? "" : item.value, item.detail].filter(Boolean).join(" · ")}</span>
            </li>
          ))}
          {found.length === 0 && (
            <li className="jc-nothing" role="option" aria-selected="false" aria-disabled="true">
              {items === null ? "Loading…" : "Nothing in the list; what you type is used as it is."}
            </li>
          )}
        </ul>
      )}
      {widget === "content" && (
        <span className="jc-links">
          {chosen && (
            <a href={editor.boot.links.edit_content.replace("__key__", value)} target="_blank" rel="noreferrer">
              Edit this content
            </a>
          )}
          <a href={editor.boot.links.add_content} target="_blank" rel="noreferrer">
            Write a new one
          </a>
        </span>
      )}
    </span>
  );
}
