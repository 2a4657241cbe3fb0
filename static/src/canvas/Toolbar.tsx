import { useEffect, useState } from "react";

import { Icon } from "../shared/Icon";
import { useEditor, useEditorState } from "./store";
import type { VerbName } from "./store";
import { verbs, words } from "./words";

/** Which verbs the state of a version allows. */
const ALLOWED: Record<string, VerbName[]> = {
  live: ["pause", "close", "stop"],
  paused: ["resume", "stop"],
  closed: ["stop"],
};

export function Toolbar() {
  const editor = useEditor();
  const journey = useEditorState((state) => state.journey);
  const shown = useEditorState((state) => state.shown);
  const number = useEditorState((state) => state.number);
  const view = useEditorState((state) => state.view);
  const panel = useEditorState((state) => state.panel);
  const hasDraft = useEditorState((state) => state.revision !== null || state.saving !== "clean");
  const label = editor.boot.states[journey.state] ?? journey.state;
  const edition = shown ? `Version ${shown.number}` : hasDraft ? `Draft ${number}` : `Version ${number}`;
  return (
    <div className="jc-toolbar" role="toolbar" aria-label="Journey">
      <div className="jc-tools">
        <span className={`jc-state is-${journey.state}`}>{label}</span>
        <button
          type="button"
          className="jc-button is-quiet"
          aria-label={`${edition}: name, re-entry and versions`}
          aria-pressed={panel === "journey"}
          onClick={() => editor.set({ panel: panel === "journey" ? null : "journey", selected: null })}
        >
          <Icon name="tune" />
          <span className="jc-wide">{edition}</span>
        </button>
      </div>
      {shown ? (
        <div className="jc-tools jc-looking">
          <Icon name="visibility" />
          <span>
            Only to look at
          </span>
          <button type="button" className="jc-button" onClick={() => void editor.show(null)}>
            Back to the draft
          </button>
        </div>
      ) : (
        <Undo />
      )}
      <div className="jc-tools" role="group" aria-label="View">
        <button
          type="button"
          className="jc-button is-icon"
          aria-label={view === "map" ? "Show as a list" : "Show as a map"}
          title={view === "map" ? "Show as a list (L)" : "Show as a map (L)"}
          onClick={() => editor.set({ view: view === "map" ? "list" : "map" })}
        >
          <Icon name={view === "map" ? "format_list_bulleted" : "account_tree"} />
        </button>
        <button
          type="button"
          className="jc-button is-icon jc-wide"
          aria-label="Keyboard"
          title="Keyboard (?)"
          onClick={() => editor.set({ panel: "keys" })}
        >
          <Icon name="keyboard" />
        </button>
      </div>
      <Totals />
      <span className="jc-space" />
      {!shown && <Saved />}
      {!shown && <Problems />}
      <Verbs />
    </div>
  );
}

function Undo() {
  const editor = useEditor();
  const past = useEditorState((state) => state.history.past.at(-1)?.name);
  const future = useEditorState((state) => state.history.future[0]?.name);
  if (!editor.boot.may.change) return <span className="jc-tools jc-looking">Only to look at</span>;
  return (
    <div className="jc-tools" role="group" aria-label="History">
      <button
        type="button"
        className="jc-button is-icon"
        disabled={!past}
        aria-label={past ? `Undo: ${past}` : "Undo"}
        title={past ? `Undo: ${past} (Ctrl+Z)` : "Nothing to undo"}
        onClick={() => editor.undo()}
      >
        <Icon name="undo" />
      </button>
      <button
        type="button"
        className="jc-button is-icon"
        disabled={!future}
        aria-label={future ? `Redo: ${future}` : "Redo"}
        title={future ? `Redo: ${future} (Ctrl+Shift+Z)` : "Nothing to do again"}
        onClick={() => editor.redo()}
      >
        <Icon name="redo" />
      </button>
    </div>
  );
}

function Totals() {
  const counts = useEditorState((state) => state.counts);
  if (!counts) return null;
  return (
    <dl className="jc-totals jc-wide" aria-label={`People in version ${counts.version}`}>
      <div>
        <dt>entered</dt>
        <dd>{words.number(counts.entered)}</dd>
      </div>
      <div>
        <dt>inside</dt>
        <dd>{words.number(counts.active)}</dd>
      </div>
      <div>
        <dt>ended</dt>
        <dd>{words.number(counts.ended)}</dd>
      </div>
      {counts.failed > 0 && (
        <div className="is-bad">
          <dt>failed</dt>
          <dd>{words.number(counts.failed)}</dd>
        </div>
      )}
    </dl>
  );
}

function Saved() {
  const editor = useEditor();
  const saving = useEditorState((state) => state.saving);
  const savedAt = useEditorState((state) => state.savedAt);
  const trouble = useEditorState((state) => state.trouble);
  const [, redraw] = useState(0);
  useEffect(() => {
    const timer = window.setInterval(() => redraw((n) => n + 1), 5_000);
    return () => clearInterval(timer);
  }, []);
  if (!editor.boot.may.change) return null;
  const text = {
    clean: savedAt === null ? "" : `Saved ${words.ago((Date.now() - savedAt) / 1_000)}`,
    dirty: "Unsaved",
    saving: "Saving…",
    failed: "Not saved",
    conflict: "Not saved",
  }[saving];
  return (
    <span className={`jc-saved is-${saving}`} title={trouble}>
      <span className="jc-wide">{text}</span>
      {saving !== "clean" && (
        <button type="button" className="jc-button is-quiet" onClick={() => void editor.save()}>
          Save
        </button>
      )}
    </span>
  );
}

function Problems() {
  const editor = useEditor();
  const problems = useEditorState((state) => state.problems);
  const panel = useEditorState((state) => state.panel);
  const errors = problems.some((problem) => problem.level === "error");
  const tone = errors ? " is-bad" : problems.length > 0 ? " is-warning" : "";
  return (
    <button
      type="button"
      className={`jc-button is-quiet jc-problems${tone}`}
      aria-pressed={panel === "problems"}
      onClick={() => editor.set({ panel: panel === "problems" ? null : "problems", selected: null })}
    >
      <Icon name={problems.length > 0 ? "error" : "check_circle"} />
      <span className="jc-wide">{words.problems(problems.length)}</span>
      <span className="jc-narrow">
        {problems.length}
        <span className="jc-heard">{problems.length === 1 ? " problem" : " problems"}</span>
      </span>
    </button>
  );
}

function Verbs() {
  const editor = useEditor();
  const journey = useEditorState((state) => state.journey);
  const shown = useEditorState((state) => state.shown);
  const hasDraft = useEditorState((state) => state.revision !== null || state.saving !== "clean");
  const running = new Set(journey.versions.map((version) => version.state));
  const allowed = editor.boot.may.operate
    ? [...new Set([...running].flatMap((state) => ALLOWED[state] ?? []))]
    : [];
  return (
    <div className="jc-tools">
      {allowed.map((verb) => (
        <button
          key={verb}
          type="button"
          className="jc-button is-verb"
          title={verbs[verb].label}
          aria-label={verbs[verb].label}
          onClick={() => editor.set({ asking: verb })}
        >
          <Icon name={verbs[verb].icon} />
          <span className="jc-verb">{verb === "close" ? "Close" : verbs[verb].label}</span>
        </button>
      ))}
      {editor.boot.may.publish && hasDraft && !shown && (
        <button type="button" className="jc-button is-primary" onClick={() => editor.set({ asking: "publish" })}>
          <Icon name={verbs.publish.icon} />
          {verbs.publish.label}
        </button>
      )}
    </div>
  );
}
