import { Icon } from "../shared/Icon";
import { useEditor, useEditorState } from "./store";

/** Nothing is drawn yet: the first question, with its answers as buttons. */
export function Empty() {
  const editor = useEditor();
  const isShown = useEditorState((state) => state.shown !== null);
  const entries = [...editor.kinds.values()].filter((kind) => kind.is_entry);
  if (!editor.boot.may.change || isShown)
    return (
      <div className="jc-empty">
        <h2>Nothing is drawn here</h2>
        <p>This version of the journey has no activities.</p>
      </div>
    );
  return (
    <div className="jc-empty">
      <span className="jc-empty-icon">
        <Icon name="route" />
      </span>
      <h2>Choose what lets people in</h2>
      <p>A journey begins with an entry. Everything that follows is added with the + on its line.</p>
      <ul>
        {entries.map((kind) => (
          <li key={kind.kind}>
            <button type="button" className="jc-choice jc-tone-entry" onClick={() => editor.insert(kind, "entry")}>
              <span className="jc-card-icon">
                <Icon name={kind.icon} />
              </span>
              <span className="jc-card-text">
                <span className="jc-card-title">{kind.label}</span>
                <span className="jc-choice-help">{kind.help}</span>
              </span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
