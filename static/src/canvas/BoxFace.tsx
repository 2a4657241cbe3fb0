import { Icon } from "../shared/Icon";
import type { BoxView } from "./useBox";
import { words } from "./words";

/** What stands on a card, on the map and in the list alike. Its text is also its name for those who hear it. */
export function BoxFace({ box }: { box: BoxView }) {
  return (
    <>
      <span className="jc-card-icon">
        <Icon name={box.icon} />
      </span>
      <span className="jc-card-text">
        <span className="jc-card-title">{box.title}</span>
        <span className="jc-card-summary">{box.summary}</span>
      </span>
      {box.count && (
        <span className="jc-card-counts">
          {box.count.waiting > 0 && (
            <span className="jc-waiting" title={`${words.people(box.count.waiting)} here now`}>
              <Icon name="hourglass_top" />
              {words.number(box.count.waiting)}
              <span className="jc-heard"> here now</span>
            </span>
          )}
          <span title={`${words.people(box.count.passed)} came through`}>
            <Icon name="done_all" />
            {words.number(box.count.passed)}
            <span className="jc-heard"> came through</span>
          </span>
        </span>
      )}
      {box.problems > 0 && (
        <span className={`jc-badge ${box.errors ? "is-error" : "is-warning"}`} title={words.problems(box.problems)}>
          {box.problems}
          <span className="jc-heard">{box.problems === 1 ? " problem" : " problems"}</span>
        </span>
      )}
    </>
  );
}
