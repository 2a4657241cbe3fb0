import { Dialog } from "./Dialog";
import { sides } from "./graph";
import { useEditor, useEditorState } from "./store";
import { words } from "./words";

/** Several ways leave the box that is to go: which one stays on the line? */
export function RemoveDialog() {
  const id = useEditorState((state) => state.removing);
  return id === null ? null : <Ask id={id} />;
}

function Ask({ id }: { id: string }) {
  const editor = useEditor();
  const graph = editor.doc.graph;
  const ports = new Map(editor.portsOf(graph, editor.state.boxes, id).map((port) => [port.id, port.label]));
  const close = (): void => editor.set({ removing: null });
  return (
    <Dialog
      title={`Remove ${editor.nameOf(id)}: which way stays?`}
      onClose={close}
      actions={
        <button type="button" className="jc-button" onClick={close}>
          Cancel
        </button>
      }
    >
      <p>Several ways leave it. The one that you choose goes on from the activity before; what only the others lead to is removed.</p>
      <ul className="jc-ways">
        {sides(graph, id).map(({ link, removed }) => (
          <li key={link.port}>
            <button type="button" className="jc-choice" onClick={() => editor.removeKeeping(id, link.port)}>
              <span className="jc-card-text">
                <span className="jc-card-title">
                  Keep {ports.get(link.port) || link.port}: {editor.nameOf(link.to)}
                </span>
                <span className="jc-choice-help">
                  {removed === 0 ? "Nothing else is removed." : `Removes ${words.boxes(removed)} of the other ways.`}
                </span>
              </span>
            </button>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
