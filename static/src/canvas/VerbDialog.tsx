import { useState } from "react";

import { Dialog } from "./Dialog";
import { useEditor, useEditorState } from "./store";
import type { VerbName } from "./store";
import { verbs } from "./words";

/** Asks before anything happens to people, and says what will. */
export function VerbDialog() {
  const verb = useEditorState((state) => state.asking);
  return verb === null ? null : <Ask key={verb} verb={verb} />;
}

function Ask({ verb }: { verb: VerbName }) {
  const editor = useEditor();
  const inside = useEditorState((state) => state.counts?.active ?? 0);
  const problems = useEditorState((state) => state.problems);
  const errors = problems.filter((problem) => problem.level === "error");
  const [refusal, setRefusal] = useState("");
  const [isBusy, setBusy] = useState(false);
  const { label, warning, isDangerous } = verbs[verb];
  const isBlocked = verb === "publish" && errors.length > 0;
  const close = (): void => editor.set({ asking: null });
  const go = async (): Promise<void> => {
    setBusy(true);
    setRefusal(await editor.operate(verb));
    setBusy(false);
  };
  return (
    <Dialog
      title={`${label}: ${editor.state.journey.name}`}
      onClose={close}
      actions={
        <>
          <button type="button" className="jc-button" onClick={close}>
            Cancel
          </button>
          {isBlocked ? (
            <button
              type="button"
              className="jc-button is-primary"
              onClick={() => editor.set({ asking: null, panel: "problems", selected: null })}
            >
              Show the problems
            </button>
          ) : (
            <button
              type="button"
              className={`jc-button ${isDangerous ? "is-danger" : "is-primary"}`}
              disabled={isBusy}
              onClick={() => void go()}
            >
              {label}
            </button>
          )}
        </>
      }
    >
      {isBlocked ? (
        <>
          <p>The draft cannot be published yet:</p>
          <ul className="jc-reasons">
            {errors.slice(0, 5).map((problem, index) => (
              <li key={index}>{problem.message}</li>
            ))}
          </ul>
          {errors.length > 5 && <p>And {errors.length - 5} more.</p>}
        </>
      ) : (
        <p>{warning(inside)}</p>
      )}
      {refusal && (
        <p className="jc-note is-error" role="alert">
          {refusal}
        </p>
      )}
    </Dialog>
  );
}
