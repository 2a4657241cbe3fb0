import { Handle, Position } from "@xyflow/react";
import { memo } from "react";

import { Icon } from "../shared/Icon";
import type { Line, Spot } from "./layout";
import { useEditor } from "./store";

interface Props {
  line: Line;
  /** Where the card stands: what is drawn here is drawn inside it. */
  origin: Spot;
  mayEdit: boolean;
}

/** The words of a line, its "+", and the dot from which one can draw it to another card. */
export const Exit = memo(function Exit({ line, origin, mayEdit }: Props) {
  const editor = useEditor();
  const after = `after ${editor.nameOf(line.from)}${line.port.label ? `, ${line.port.label}` : ""}`;
  const at = (spot: Spot) => ({ left: spot.x - origin.x, top: spot.y - origin.y });
  return (
    <>
      {line.port.label && (
        <span className="jc-port" style={at(line.label)} title={line.port.label}>
          {line.port.label}
        </span>
      )}
      {mayEdit && (
        <button
          type="button"
          className={`jc-plus nopan nodrag${line.to === null ? " is-open" : ""}`}
          style={at(line.plus)}
          aria-label={line.to === null ? `Add what comes ${after}` : `Add a step ${after}`}
          aria-haspopup="dialog"
          onClick={(event) =>
            editor.set({
              menu: {
                place: { from: line.from, port: line.port.id, to: line.to },
                anchor: event.currentTarget.getBoundingClientRect(),
              },
            })
          }
        >
          <Icon name="add" />
        </button>
      )}
      {mayEdit && (
        <Handle
          type="source"
          id={line.port.id}
          position={Position.Bottom}
          className="jc-source"
          style={at({ x: line.plus.x + 24, y: line.plus.y })}
          title="Draw to another card"
        />
      )}
    </>
  );
});
