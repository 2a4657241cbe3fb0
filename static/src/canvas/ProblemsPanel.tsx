import { Icon } from "../shared/Icon";
import { Side } from "./Side";
import { useEditor, useEditorState } from "./store";

/** Everything that stands in the way, each a button that jumps to its card. */
export function ProblemsPanel() {
  const editor = useEditor();
  const problems = useEditorState((state) => state.problems);
  return (
    <Side title="Problems" icon="error">
      {problems.length === 0 && <p className="jc-help">Nothing stands in the way of publishing.</p>}
      <ul className="jc-problem-list">
        {problems.map((problem, index) => (
          <li key={`${problem.message} ${index}`}>
            <button type="button" disabled={!problem.activity} onClick={() => editor.select(problem.activity)}>
              <span className={`jc-note is-${problem.level}`}>
                <Icon name={problem.level === "error" ? "error" : "warning"} />
                <span>
                  {problem.activity && <b>{editor.nameOf(problem.activity)}</b>} {problem.message}
                </span>
              </span>
            </button>
          </li>
        ))}
      </ul>
    </Side>
  );
}
