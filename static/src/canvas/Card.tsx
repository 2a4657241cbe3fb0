import { Handle, Position, useReactFlow } from "@xyflow/react";
import { memo } from "react";
import type { FocusEvent } from "react";

import { BoxFace } from "./BoxFace";
import { Exit } from "./Exit";
import { showSpot } from "./JourneyMap";
import type { Line } from "./layout";
import { useEditor, useEditorState } from "./store";
import { useBox } from "./useBox";

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
      {!box.isLinkless && <Handle type="target" position={Position.Top} className="jc-target" isConnectableStart={false} />}
      <button
        type="button"
        className={`jc-card nopan${isSelected ? " is-selected" : ""}${box.errors ? " has-errors" : ""}`}
        data-card={data.id}
        aria-pressed={isSelected}
        onClick={() => editor.select(data.id)}
      >
        <BoxFace box={box} />
      </button>
      {data.lines.map((line) => (
        <Exit key={line.port.id} line={line} origin={data} mayEdit={mayEdit} />
      ))}
    </div>
  );
});
