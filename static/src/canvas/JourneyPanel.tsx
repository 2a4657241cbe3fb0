import { useState } from "react";

import { Side } from "./Side";
import { useEditor, useEditorState } from "./store";

export function JourneyPanel() {
  const editor = useEditor();
  const journey = useEditorState((state) => state.journey);
  const reEntry = useEditorState((state) => state.shown?.re_entry ?? state.history.present.reEntry);
  const shown = useEditorState((state) => state.shown);
  const [name, setName] = useState(journey.name);
  const [description, setDescription] = useState(journey.description);
  const mayChange = editor.boot.may.change;
  const store = (): void => {
    const isChanged = name.trim() !== journey.name || description !== journey.description;
    if (isChanged && name.trim()) void editor.describe(name.trim(), description);
  };
  return (
    <Side title="Journey" icon="route" tone="entry">
      <fieldset disabled={!mayChange} className="jc-form">
        <label className="jc-field">
          <span className="jc-label">Name</span>
          <input type="text" maxLength={200} value={name} onChange={(event) => setName(event.target.value)} onBlur={store} />
        </label>
        <label className="jc-field">
          <span className="jc-label">Description</span>
          <textarea rows={3} value={description} onChange={(event) => setDescription(event.target.value)} onBlur={store} />
        </label>
      </fieldset>
      <fieldset disabled={!mayChange || shown !== null} className="jc-form jc-radios">
        <legend>May a person enter again?</legend>
        {editor.boot.re_entries.map((choice) => (
          <label key={choice.value}>
            <input
              type="radio"
              name="re-entry"
              value={choice.value}
              checked={reEntry === choice.value}
              onChange={() => editor.setReEntry(String(choice.value))}
            />
            {choice.label}
          </label>
        ))}
      </fieldset>
      <section className="jc-versions" aria-label="Versions">
        <h3>Versions</h3>
        <ul>
          {[...journey.versions]
            .sort((one, other) => other.number - one.number)
            .map((version) => {
              const isDraft = version.state === "draft";
              const isShown = shown ? shown.number === version.number : isDraft;
              return (
                <li key={version.number}>
                  <button
                    type="button"
                    aria-pressed={isShown}
                    onClick={() => void editor.show(isDraft ? null : version.number).then(() => editor.set({ panel: "journey" }))}
                  >
                    <span className="jc-version">Version {version.number}</span>
                    <span className={`jc-state is-${version.state}`}>{editor.boot.states[version.state] ?? version.state}</span>
                    <span className="jc-when">
                      {version.published_at ? `published ${version.published_at.slice(0, 16).replace("T", " ")} UTC` : "not published"}
                    </span>
                  </button>
                </li>
              );
            })}
        </ul>
      </section>
      <p className="jc-id">
        Key <code>{journey.key}</code>. <a href={editor.boot.links.docs}>How journeys work</a>
      </p>
    </Side>
  );
}
