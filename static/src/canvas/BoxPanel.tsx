import { Icon } from "../shared/Icon";
import { Side } from "./Side";
import { Fields } from "./form/Fields";
import { activityOf } from "./graph";
import { shownGraph, useEditor, useEditorState } from "./store";
import { useBox } from "./useBox";
import { words } from "./words";

/** The settings of the selected box, in a form that its kind describes. */
export function BoxPanel() {
  const id = useEditorState((state) => state.selected);
  return id === null ? null : <Settings key={id} id={id} />;
}

function Settings({ id }: { id: string }) {
  const editor = useEditor();
  const activity = useEditorState((state) => activityOf(shownGraph(state), id));
  const problems = useEditorState((state) => state.problems);
  const isShown = useEditorState((state) => state.shown !== null);
  const box = useBox(id);
  const kind = editor.kinds.get(activity?.kind ?? "");
  if (!activity) return null;
  const mine = isShown ? [] : problems.filter((problem) => problem.activity === id);
  const names = new Set(kind?.fields.map((field) => field.name));
  const general = mine.filter((problem) => !names.has(problem.field.split(".")[0]!));
  const ports = editor.portsOf(shownGraph(editor.state), editor.state.shown?.boxes ?? editor.state.boxes, id);
  const mayEdit = editor.boot.may.change && !isShown;
  return (
    <Side
      title={kind?.label ?? activity.kind}
      icon={box.icon}
      tone={box.tone}
      footer={
        mayEdit && (
          <>
            {!box.isLinkless && (
              <button type="button" className="jc-button" onClick={() => editor.duplicate(id)}>
                <Icon name="content_copy" /> Duplicate
              </button>
            )}
            <button type="button" className="jc-button is-danger" onClick={() => editor.remove(id)}>
              <Icon name="delete" /> Remove
            </button>
          </>
        )
      }
    >
      {kind?.help && <p className="jc-help">{kind.help}</p>}
      {general.map((problem) => (
        <p key={problem.message} className={`jc-note is-${problem.level}`}>
          {problem.message}
        </p>
      ))}
      <fieldset disabled={!mayEdit} className="jc-form">
        <label className="jc-field">
          <span className="jc-label">Name on the map</span>
          <input
            type="text"
            maxLength={80}
            placeholder={kind?.label}
            value={activity.label ?? ""}
            onChange={(event) => editor.rename(id, event.target.value)}
          />
        </label>
        {kind && (
          <Fields
            fields={kind.fields}
            values={activity.config}
            path=""
            problems={mine}
            onChange={(config, field) => editor.configure(id, config, field)}
          />
        )}
      </fieldset>
      {box.count && (
        <section className="jc-outcomes" aria-label="People">
          <h3>People</h3>
          <dl>
            <div>
              <dt>here now</dt>
              <dd>{words.number(box.count.waiting)}</dd>
            </div>
            <div>
              <dt>came through</dt>
              <dd>{words.number(box.count.passed)}</dd>
            </div>
            {ports.length > 1 &&
              Object.entries(box.count.outcomes).map(([outcome, n]) => (
                <div key={outcome}>
                  <dt>{ports.find((port) => port.id === outcome)?.label || outcome}</dt>
                  <dd>{words.number(n)}</dd>
                </div>
              ))}
          </dl>
        </section>
      )}
      <p className="jc-id">
        Id <code>{id}</code>
      </p>
    </Side>
  );
}
