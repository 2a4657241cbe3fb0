import { Handle, Position, useReactFlow } from "@xyflow/react";
import { memo } from "react";
import type { FocusEvent } from "react";

import { Exit } from "./Exit";
import { Icon } from "./Icon";
import { showSpot } from "./JourneyMap";
import type { Line } from "./layout";
import { useEditor, useEditorState } from "./store";
import { useBox } from "./useBox";
import { words } from "./words";

export interface CardData extends Record<string, unknown> {
  id: string;
  lines: Line[];
  x: number;
  y: number;
}

/** One box on the map, and the exits below it: so the keyboard goes from a card to its "+" and on to the next card. */
export const Card = memo(function Card({ data }: { data: CardData }) {
  const editor = useEditor();
  const flow = useReactFlow();
  const box = useBox(data.id);
  const isSelected = useEditorState((state) => state.selected === data.id);
  const mayEdit = useEditorState((state) => state.shown === null) && editor.boot.may.change;

  const bringIntoView = (event: FocusEvent<HTMLElement>): void => {
    if (event.target.matches(":focus-visible")) showSpot(flow, data);
  };

  return (
    <div className={`jc-node jc-tone-${box.tone}`} onFocus={bringIntoView}>
      {!box.isEntry && <Handle type="target" position={Position.Top} className="jc-target" isConnectableStart={false} />}
      <button
        type="button"
        className={`jc-card nopan${isSelected ? " is-selected" : ""}${box.errors ? " has-errors" : ""}`}
        data-card={data.id}
        aria-label={box.spoken}
        aria-pressed={isSelected}
        onClick={() => editor.select(data.id)}
      >
        <span className="jc-card-icon">
          <Icon name={box.icon} />
        </span>
        <span className="jc-card-text">
          <span className="jc-card-title">{box.title}</span>
          <span className="jc-card-summary">{box.summary}</span>
        </span>
        {box.count && (
          <span className="jc-card-counts">
            {box.count.waiting > 0 && (
              <span className="jc-waiting" title={`${words.people(box.count.waiting)} here now`}>
                <Icon name="hourglass_top" />
                {words.number(box.count.waiting)}
              </span>
            )}
            <span title={`${words.people(box.count.passed)} came through`}>
              <Icon name="done_all" />
              {words.number(box.count.passed)}
            </span>
          </span>
        )}
        {box.problems > 0 && (
          <span className={`jc-badge ${box.errors ? "is-error" : "is-warning"}`} title={words.problems(box.problems)}>
            {box.problems}
          </span>
        )}
      </button>
      {data.lines.map((line) => (
        <Exit key={line.port.id} line={line} origin={data} mayEdit={mayEdit} />
      ))}
    </div>
  );
});
