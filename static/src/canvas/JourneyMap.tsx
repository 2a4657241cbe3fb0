import { Background, Controls, MiniMap, ReactFlow, ViewportPortal, useReactFlow } from "@xyflow/react";
import type { ColorMode, Connection, Node, ReactFlowInstance } from "@xyflow/react";
import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";

import { Card } from "./Card";
import type { CardData } from "./Card";
import { Empty } from "./Empty";
import { isTyping } from "./keys";
import { CARD } from "./layout";
import type { Spot } from "./layout";
import { useLayout } from "./useLayout";
import { shownGraph, useEditor, useEditorState } from "./store";

const NODE_TYPES = { card: Card };
const BELOW = 48; // the "+" below a card is seen with it
const MINIMAP_FROM = 10; // boxes: fewer are seen at once
const FIT = { padding: 0.15, maxZoom: 1, minZoom: 0.3 };

export function JourneyMap() {
  const editor = useEditor();
  const graph = useEditorState(shownGraph);
  const shown = useEditorState((state) => state.shown);
  const drawn = useLayout();
  const flow = useReactFlow();
  const colorMode = useSyncExternalStore(onThemeChange, themeNow);
  const mayEdit = editor.boot.may.change && shown === null;
  const [isConnecting, setConnecting] = useState(false);

  const nodes = useMemo(
    () =>
      drawn.order.map((id): Node<CardData, "card"> => {
        const spot = drawn.boxes.get(id)!;
        const lines = drawn.lines.filter((line) => line.from === id);
        return {
          id,
          type: "card",
          position: spot,
          width: CARD.width,
          height: CARD.height,
          data: { id, lines, x: spot.x, y: spot.y },
        };
      }),
    [drawn],
  );

  const fit = useCallback(() => void flow.fitView({ ...FIT, duration: motion(250) }), [flow]);
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent): void => {
      if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "0") fit();
      else if (event.key === "1") void flow.zoomTo(1, { duration: motion(200) });
      else if (event.key === "+") void flow.zoomIn();
      else if (event.key === "-") void flow.zoomOut();
    };
    document.addEventListener("keydown", onKeyDown);
    return () => document.removeEventListener("keydown", onKeyDown);
  }, [flow, fit]);

  // What is edited is seen: after it was added, and when the panel makes the stage narrower.
  const selected = useEditorState((state) => state.selected);
  useEffect(() => {
    const spot = selected === null ? undefined : drawn.boxes.get(selected);
    if (!spot) return;
    const frame = requestAnimationFrame(() => showSpot(flow, spot));
    return () => cancelAnimationFrame(frame);
  }, [selected, drawn, flow]);

  const version = shown?.number ?? null;
  const first = useRef(true);
  useEffect(() => {
    if (!first.current) fit();
    first.current = false;
  }, [version, fit]);

  if (graph.activities.length === 0) return <Empty />;
  return (
    <ReactFlow
      className={isConnecting ? "is-connecting" : ""}
      nodes={nodes}
      nodeTypes={NODE_TYPES}
      colorMode={colorMode}
      fitView
      fitViewOptions={FIT}
      minZoom={0.15}
      maxZoom={1.75}
      nodesDraggable={false}
      nodesConnectable={mayEdit}
      nodesFocusable={false}
      elementsSelectable={false}
      deleteKeyCode={null}
      selectionKeyCode={null}
      disableKeyboardA11y
      panOnScroll
      zoomOnDoubleClick={false}
      onlyRenderVisibleElements={nodes.length > 200}
      connectionRadius={36}
      onConnectStart={() => setConnecting(true)}
      onConnectEnd={() => setConnecting(false)}
      isValidConnection={(connection) => mayConnect(editor.kinds, graph, connection as Connection)}
      onConnect={({ source, sourceHandle, target }) => sourceHandle && editor.connect(source, sourceHandle, target)}
      onPaneClick={() => editor.state.panel === "box" && editor.select(null)}
      aria-label="Map of the journey"
    >
      <Background gap={22} size={1.2} />
      <ViewportPortal>
        <svg className="jc-lines" aria-hidden="true">
          <defs>
            <marker id="jc-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
              <path d="M1,1L7,4L1,7" fill="none" stroke="context-stroke" />
            </marker>
          </defs>
          {drawn.lines.map((line) => (
            <path
              key={`${line.from} ${line.port.id}`}
              d={line.path}
              className={line.to === null ? "is-open" : ""}
              markerEnd={line.to === null ? undefined : "url(#jc-arrow)"}
            />
          ))}
        </svg>
      </ViewportPortal>
      <Controls showInteractive={false} fitViewOptions={FIT} position="bottom-left" />
      {nodes.length >= MINIMAP_FROM && (
        <MiniMap pannable zoomable position="bottom-right" ariaLabel="Small map" nodeBorderRadius={8} />
      )}
    </ReactFlow>
  );
}

/** Moves the map only when the card is not wholly on the stage, and then no further than to its middle. */
export function showSpot(flow: ReactFlowInstance, spot: Spot): void {
  const stage = document.querySelector(".react-flow")?.getBoundingClientRect();
  if (!stage) return;
  const { x, y, zoom } = flow.getViewport();
  const left = spot.x * zoom + x;
  const top = spot.y * zoom + y;
  const fits =
    left >= 0 &&
    top >= 0 &&
    left + CARD.width * zoom <= stage.width &&
    top + (CARD.height + BELOW) * zoom <= stage.height;
  if (fits) return;
  void flow.setCenter(spot.x + CARD.width / 2, spot.y + CARD.height, { zoom: Math.max(zoom, 0.6), duration: motion(200) });
}

function mayConnect(
  kinds: ReadonlyMap<string, { is_entry: boolean; is_exit: boolean }>,
  graph: { activities: { id: string; kind: string }[] },
  connection: Connection,
): boolean {
  const target = graph.activities.find((activity) => activity.id === connection.target);
  const kind = kinds.get(target?.kind ?? "");
  return target !== undefined && connection.source !== connection.target && !kind?.is_entry && !kind?.is_exit;
}

/** No movement for those who asked for none. */
export function motion(milliseconds: number): number {
  return window.matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : milliseconds;
}

function onThemeChange(listener: () => void): () => void {
  const observer = new MutationObserver(listener);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
  return () => observer.disconnect();
}

function themeNow(): ColorMode {
  return document.documentElement.classList.contains("dark") ? "dark" : "light";
}
