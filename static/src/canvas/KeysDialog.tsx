import { Dialog } from "./Dialog";
import { useEditor } from "./store";
import { keys } from "./words";

export function KeysDialog() {
  const editor = useEditor();
  const close = (): void => editor.set({ panel: null });
  return (
    <Dialog
      title="Keyboard"
      onClose={close}
      actions={
        <button type="button" className="jc-button" onClick={close}>
          Close
        </button>
      }
    >
      <dl className="jc-keys">
        {keys.map(([key, meaning]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
