import { useMemo, useRef } from "react";

import { layout } from "./layout";
import type { Layout } from "./layout";
import { shownGraph, useEditor, useEditorState } from "./store";
import type { Port } from "./types";

/** The layout of what is looked at. It stays the same object while only settings change: typing moves nothing. */
export function useLayout(): Layout {
  const editor = useEditor();
  const graph = useEditorState(shownGraph);
  const boxes = useEditorState((state) => state.shown?.boxes ?? state.boxes);
  const last = useRef<{ signature: string; layout: Layout } | null>(null);
  return useMemo(() => {
    const ports = new Map<string, Port[]>(
      graph.activities.map((activity) => [activity.id, editor.portsOf(graph, boxes, activity.id)]),
    );
    const signature = JSON.stringify([[...ports], graph.links]);
    if (last.current?.signature !== signature) {
      const entry = graph.activities.find((activity) => editor.kinds.get(activity.kind)?.is_entry);
      last.current = { signature, layout: layout(graph, (id) => ports.get(id) ?? [], entry?.id) };
    }
    return last.current.layout;
  }, [editor, graph, boxes]);
}
