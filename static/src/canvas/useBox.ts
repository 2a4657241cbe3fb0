import { activityOf } from "./graph";
import { shownGraph, useEditor, useEditorState } from "./store";
import type { BoxCount } from "./types";

const TONES = new Set(["entry", "action", "flow", "exit"]);

export interface BoxView {
  title: string;
  summary: string;
  icon: string;
  tone: string;
  /** No line leads here: people come in, or are taken here from wherever they wait. */
  isLinkless: boolean;
  problems: number;
  errors: boolean;
  count: BoxCount | null;
}

/** What a card or a line of the list shows of one box. */
export function useBox(id: string): BoxView {
  const editor = useEditor();
  const activity = useEditorState((state) => activityOf(shownGraph(state), id));
  const summary = useEditorState((state) => (state.shown?.boxes ?? state.boxes)[id]?.summary ?? "");
  const problems = useEditorState((state) => (state.shown ? 0 : state.problems.filter((each) => each.activity === id).length));
  const errors = useEditorState(
    (state) => !state.shown && state.problems.some((each) => each.activity === id && each.level === "error"),
  );
  const count = useEditorState((state) => state.counts?.boxes[id] ?? null);
  const kind = editor.kinds.get(activity?.kind ?? "");
  const isEnd = kind !== undefined && kind.ports.length === 0 && kind.fields.length === 0;
  const title = activity ? editor.labelOf(activity) : id;
  const shown = summary || (activity?.label ? (kind?.label ?? "") : errors ? "Not set up yet" : "");
  return {
    title,
    summary: shown,
    icon: kind?.icon ?? "help",
    tone: kind && !isEnd && TONES.has(kind.category) ? kind.category : "other",
    isLinkless: kind !== undefined && (kind.is_entry || kind.is_exit),
    problems,
    errors,
    count,
  };
}
