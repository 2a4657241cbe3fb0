import { memo } from "react";

import { Icon } from "../shared/Icon";
import { EmailPreview } from "./EmailPreview";
import { OtherPreview } from "./OtherPreview";
import { PersonPicker } from "./PersonPicker";
import type { Boot, Person } from "./types";
import type { PreviewState } from "./usePreview";

interface Props {
  boot: Boot;
  preview: PreviewState;
  sender: string;
  person: Person | null;
  event: string;
  onPerson: (person: Person | null) => void;
  onEvent: (event: string) => void;
}

/** The message as the chosen person gets it. */
export const PreviewPane = memo(function PreviewPane(props: Props) {
  const { boot, preview, sender, person, event } = props;
  const { shown, answer, failure } = preview;
  const isOld = answer !== null && !answer.is_rendered;
  const notes = (
    <>
      {failure && (
        <p className="ce-banner is-error" role="alert">
          <Icon name="cloud_off" /> No preview: {failure}
        </p>
      )}
      {isOld && (
        <p className="ce-banner">
          <Icon name="history" /> {shown ? "The last version that worked. " : ""}Solve the problems to see the newest.
        </p>
      )}
    </>
  );
  return (
    <section className="ce-preview" aria-label="Preview">
      <div className="ce-as">
        {boot.canSeePeople && <PersonPicker boot={boot} person={person} onChange={props.onPerson} />}
        <label className="ce-event">
          <Icon name="bolt" />
          <span className="ce-hidden">With the event</span>
          <select value={event} onChange={(change) => props.onEvent(change.target.value)}>
            <option value="">No event</option>
            {boot.events.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
      </div>
      {boot.channel === "email" ? (
        <EmailPreview sender={sender} shown={shown} isWaiting={!shown && !failure && !isOld}>
          {notes}
        </EmailPreview>
      ) : (
        <>
          {notes}
          {shown && <OtherPreview channel={boot.channel} sender={sender} shown={shown} />}
        </>
      )}
    </section>
  );
});
