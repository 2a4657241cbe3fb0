import { useEffect, useId, useMemo, useRef, useState } from "react";
import type { KeyboardEvent } from "react";
import { createPortal } from "react-dom";

import { Icon } from "../shared/Icon";
import type { Loose, Place } from "./graph";
import { useEditor, useEditorState } from "./store";
import type { Kind } from "./types";

interface Option {
  group: string;
  label: string;
  help: string;
  icon: string;
  tone: string;
  choose: () => void;
}

const SIZE = { width: 340, height: 440 };

/** What can be put at a place: searched by typing, chosen by arrow keys or mouse. */
export function StepMenu() {
  const menu = useEditorState((state) => state.menu);
  return menu && createPortal(<Menu key={JSON.stringify(menu.place)} {...menu} />, document.body);
}

function Menu({ place, anchor }: { place: Place | Loose; anchor: DOMRect }) {
  const editor = useEditor();
  const [text, setText] = useState("");
  const [active, setActive] = useState(0);
  const list = useRef<HTMLDivElement>(null);
  const opener = useRef(document.activeElement);
  const listId = useId();
  const all = useMemo(() => options(editor, place), [editor, place]);
  const wanted = text.trim().toLowerCase();
  const ranked = all
    .map((option) => ({ option, rank: rank(option, wanted) }))
    .filter((each) => each.rank < NO_MATCH)
    .sort((one, other) => one.rank - other.rank)
    .map((each) => each.option);
  const groups = [...new Set(ranked.map((option) => option.group))];
  const found = groups.flatMap((group) => ranked.filter((option) => option.group === group));

  const close = (): void => {
    editor.set({ menu: null });
    if (opener.current instanceof HTMLElement) opener.current.focus();
  };
  useEffect(() => {
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
  }, [active]);

  const onKeyDown = (event: KeyboardEvent): void => {
    const moves: Record<string, number> = { ArrowDown: active + 1, ArrowUp: active - 1, Home: 0, End: found.length - 1 };
    const next = moves[event.key];
    if (next !== undefined && found.length > 0) {
      event.preventDefault();
      setActive((next + found.length) % found.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      found[active]?.choose();
    } else if (event.key === "Escape" || event.key === "Tab") {
      event.preventDefault();
      event.stopPropagation();
      close();
    }
  };

  const left = Math.max(12, Math.min(anchor.left + anchor.width / 2 - SIZE.width / 2, innerWidth - SIZE.width - 12));
  const top = Math.max(12, Math.min(anchor.bottom + 8, innerHeight - SIZE.height - 12));
  return (
    <div className="jc-root jc-veil" onPointerDown={(event) => event.target === event.currentTarget && close()}>
      <div className="jc-menu" role="dialog" aria-label="Add a step" style={{ left, top }} onKeyDown={onKeyDown}>
        <label className="jc-search">
          <Icon name="search" />
          <input
            autoFocus
            type="text"
            role="combobox"
            aria-label="Search for a step"
            aria-expanded="true"
            aria-controls={listId}
            aria-activedescendant={found.length > 0 ? `${listId}-${active}` : undefined}
            autoComplete="off"
            placeholder="Search for a step"
            value={text}
            onChange={(event) => {
              setText(event.target.value);
              setActive(0);
            }}
          />
        </label>
        <div className="jc-options" role="listbox" id={listId} ref={list} aria-label="Steps">
          {groups.map((group) => (
            <div role="group" key={group} aria-label={group}>
              <div className="jc-group" aria-hidden="true">
                {group}
              </div>
              {found.map(
                (option, index) =>
                  option.group === group && (
                    <div
                      key={`${option.label} ${index}`}
                      id={`${listId}-${index}`}
                      role="option"
                      aria-selected={index === active}
                      className={`jc-option jc-tone-${option.tone}`}
                      onPointerMove={() => setActive(index)}
                      onClick={option.choose}
                    >
                      <span className="jc-card-icon">
                        <Icon name={option.icon} />
                      </span>
                      <span className="jc-card-text">
                        <span className="jc-card-title">{option.label}</span>
                        <span className="jc-option-help">{option.help}</span>
                      </span>
                    </div>
                  ),
              )}
            </div>
          ))}
        </div>
        {found.length === 0 && <p className="jc-nothing">Nothing here is called “{text}”.</p>}
      </div>
    </div>
  );
}

const NO_MATCH = 3;

/** The best first: what is called so, then what has it in its name, then what has it in its explanation. */
function rank({ label, help }: Option, wanted: string): number {
  const name = label.toLowerCase();
  if (name.startsWith(wanted)) return 0;
  if (name.includes(wanted)) return 1;
  return help.toLowerCase().includes(wanted) ? 2 : NO_MATCH;
}

function options(editor: ReturnType<typeof useEditor>, place: Place | Loose): Option[] {
  const kinds = [...editor.kinds.values()].filter(
    (kind) => kind.is_entry === (place === "entry") && kind.is_exit === (place === "exit"),
  );
  const steps = kinds.map((kind) => asOption(editor, kind, place));
  const order = [...new Set([...Object.keys(editor.boot.categories), ...kinds.map((kind) => kind.category)])];
  const sorted = order.flatMap((category) =>
    steps.filter((_step, index) => kinds[index]!.category === category),
  );
  return place === "entry" || place === "exit" ? sorted : [...sorted, ...ways(editor, place)];
}

function asOption(editor: ReturnType<typeof useEditor>, kind: Kind, place: Place | Loose): Option {
  return {
    group: editor.boot.categories[kind.category] ?? kind.category,
    label: kind.label,
    help: kind.help,
    icon: kind.icon,
    tone: kind.category,
    choose: () => editor.insert(kind, place),
  };
}

/** The keyboard's way to draw a line to a card that is there, or to cut one. */
function ways(editor: ReturnType<typeof useEditor>, place: Place): Option[] {
  const targets = editor.doc.graph.activities.filter((activity) => {
    const kind = editor.kinds.get(activity.kind);
    return activity.id !== place.from && activity.id !== place.to && !kind?.is_entry && !kind?.is_exit;
  });
  const found: Option[] = targets.map((activity) => ({
    group: "Go to a card that is there",
    label: `Go to ${editor.labelOf(activity)}`,
    help: editor.state.boxes[activity.id]?.summary || activity.id,
    icon: "subdirectory_arrow_right",
    tone: "other",
    choose: () => editor.connect(place.from, place.port, activity.id),
  }));
  if (place.to !== null)
    found.push({
      group: "This line",
      label: "Cut this line",
      help: "What follows stays on the map and can be connected again.",
      icon: "content_cut",
      tone: "other",
      choose: () => editor.disconnect(place.from, place.port),
    });
  return found;
}
