import { Dialog } from "./Dialog";
import { useEditor, useEditorState } from "./store";

/** Somebody saved or published the draft in the meantime. Nothing was overwritten; the author decides. */
export function ConflictDialog() {
  const editor = useEditor();
  const isOpen = useEditorState((state) => state.saving === "conflict");
  if (!isOpen) return null;
  return (
    <Dialog
      title="Somebody else was quicker"
      onClose={() => undefined}
      actions={
        <>
          <button type="button" className="jc-button" onClick={() => void editor.takeTheirs()}>
            Load theirs
          </button>
          <button type="button" className="jc-button is-danger" onClick={() => void editor.keepMine()}>
            Overwrite with mine
          </button>
        </>
      }
    >
      <p>The draft was saved or published by somebody else since you opened it. Nothing of it was overwritten.</p>
      <p>
        If you load theirs, your own state is one step back in the history: Ctrl+Z brings it to the map again. If you
        overwrite, theirs is replaced.
      </p>
    </Dialog>
  );
}
