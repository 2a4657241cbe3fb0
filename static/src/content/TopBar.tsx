import { memo, useEffect, useState } from "react";

import { Icon } from "../shared/Icon";
import type { DraftState } from "./useDraft";
import { words } from "./words";

interface Props {
  name: string;
  listUrl: string;
  draft: DraftState;
  canChange: boolean;
  canPublish: boolean;
  canProof: boolean;
  onRename: (name: string) => void;
  onVersions: () => void;
  onProof: () => void;
  onPublish: () => void;
}

export const TopBar = memo(function TopBar(props: Props) {
  const { draft } = props;
  const [name, setName] = useState(props.name);
  useEffect(() => setName(props.name), [props.name]);
  return (
    <header className="ce-top">
      <a className="ce-icon-button" href={props.listUrl} aria-label="All content">
        <Icon name="arrow_back" />
      </a>
      <input
        className="ce-name"
        aria-label="Name"
        value={name}
        maxLength={200}
        size={Math.max(8, name.length)}
        readOnly={!props.canChange}
        onChange={(event) => setName(event.target.value)}
        onKeyDown={(event) => event.key === "Enter" && event.currentTarget.blur()}
        onBlur={() => {
          const next = name.trim();
          if (next && next !== props.name) props.onRename(next);
          else setName(props.name);
        }}
      />
      <span className={`ce-badge is-${draft.isDraft ? "draft" : "published"}`}>
        {draft.isDraft ? `Draft of version ${draft.number}` : `Version ${draft.number} is published`}
      </span>
      <SavedNote draft={draft} />
      <div className="ce-top-actions">
        <button type="button" className="ce-button" onClick={props.onVersions}>
          <Icon name="history" />
          <span>Versions</span>
        </button>
        {props.canProof && (
          <button type="button" className="ce-button" onClick={props.onProof}>
            <Icon name="forward_to_inbox" />
            <span>Send a proof</span>
          </button>
        )}
        {props.canPublish && (
          <button type="button" className="ce-button is-primary" disabled={!draft.isDraft} onClick={props.onPublish}>
            <Icon name="rocket_launch" />
            <span>Publish</span>
          </button>
        )}
      </div>
    </header>
  );
});

function SavedNote({ draft }: { draft: DraftState }) {
  const [now, setNow] = useState(Date.now());
  const { saving, savedAt, failure } = draft;
  useEffect(() => {
    if (savedAt === null) return;
    setNow(Date.now());
    const timer = window.setInterval(() => setNow(Date.now()), 10_000);
    return () => window.clearInterval(timer);
  }, [savedAt]);
  if (saving === "failed" || saving === "conflict") {
    return (
      <span className="ce-saved is-error" role="alert" title={failure}>
        {words.unsavable}: {failure}
      </span>
    );
  }
  const said =
    saving === "saving"
      ? words.saving
      : saving === "unsaved"
        ? words.unsaved
        : savedAt === null
          ? ""
          : words.saved((now - savedAt) / 1000);
  return (
    <span className="ce-saved" role="status">
      {said}
    </span>
  );
}
