import { memo } from "react";

import { BoxFace } from "./BoxFace";
import { Empty } from "./Empty";
import { Icon } from "../shared/Icon";
import type { Line } from "./layout";
import { shownGraph, useEditor, useEditorState } from "./store";
import type { Port } from "./types";
import { useBox } from "./useBox";
import { useLayout } from "./useLayout";

/** The same journey as an indented list: for phones, screen readers and everybody who prefers reading. */
export function ListView() {
  const graph = useEditorState(shownGraph);
  const drawn = useLayout();
  if (graph.activities.length === 0) return <Empty />;
  return (
    <div className="jc-list">
      <ol aria-label="Activities of the journey">
        {drawn.order.map((id, index) => (
          <Row
            key={id}
            id={id}
            depth={drawn.depth.get(id) ?? 0}
            via={drawn.via.get(id)}
            next={drawn.order[index + 1]}
            lines={drawn.lines.filter((line) => line.from === id)}
          />
        ))}
      </ol>
    </div>
  );
}

interface RowProps {
  id: string;
  depth: number;
  via: { from: string; port: Port } | undefined;
  /** The box on the following row: where an only exit leads there, nothing need be said. */
  next: string | undefined;
  lines: Line[];
}

const Row = memo(function Row({ id, depth, via, next, lines }: RowProps) {
  const editor = useEditor();
  const box = useBox(id);
  const isSelected = useEditorState((state) => state.selected === id);
  const mayEdit = useEditorState((state) => state.shown === null) && editor.boot.may.change;
  return (
    <li className={`jc-row jc-tone-${box.tone}`} style={{ marginInlineStart: `${Math.min(depth, 6) * 20}px` }}>
      {via && (
        <span className="jc-via">
          {editor.nameOf(via.from)}: <b>{via.port.label || via.port.id}</b>
        </span>
      )}
      <button
        type="button"
        className={`jc-card${isSelected ? " is-selected" : ""}${box.errors ? " has-errors" : ""}`}
        data-card={id}
        aria-pressed={isSelected}
        onClick={() => editor.select(id)}
      >
        <BoxFace box={box} />
      </button>
      {lines.map((line) => (
        <div className="jc-way" key={line.port.id}>
          <span className="jc-way-text">
            {(lines.length > 1 || line.to !== next || line.to === null) && (
              <>
                <Icon name="subdirectory_arrow_right" />
                {line.port.label && <b>{line.port.label}</b>}
                <span>{line.to === null ? "nothing follows" : editor.nameOf(line.to)}</span>
              </>
            )}
          </span>
          {mayEdit && (
            <button
              type="button"
              className="jc-plus"
              aria-label={`Add a step after ${box.title}${line.port.label ? `, ${line.port.label}` : ""}`}
              aria-haspopup="dialog"
              onClick={(event) =>
                editor.set({
                  menu: {
                    place: { from: id, port: line.port.id, to: line.to },
                    anchor: event.currentTarget.getBoundingClientRect(),
                  },
                })
              }
            >
              <Icon name="add" />
            </button>
          )}
        </div>
      ))}
    </li>
  );
});
