import { useState } from "react";

import { Side } from "./Side";
import { Icon } from "../shared/Icon";
import { shownGraph, useEditor, useEditorState } from "./store";

export function JourneyPanel() {
  const editor = useEditor();
  const journey = useEditorState((state) => state.journey);
  const reEntry = useEditorState((state) => state.shown?.re_entry ?? state.history.present.reEntry);
  const shown = useEditorState((state) => state.shown);
  const [name, setName] = useState(journey.name);
  const [description, setDescription] = useState(journey.description);
  const mayChange = editor.boot.may.change;
  const graph = useEditorState(shownGraph);
  const boxes = useEditorState((state) => state.shown?.boxes ?? state.boxes);
  const exits = graph.activities.filter((activity) => editor.kinds.get(activity.kind)?.is_exit);
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
      <section className="jc-versions" aria-label="Leaving early">
        <h3>Leaving early</h3>
        <ul>
          {exits.map((activity) => (
            <li key={activity.id}>
              <button type="button" onClick={() => editor.select(activity.id)}>
                <span className="jc-version">{editor.labelOf(activity)}</span>
                <span className="jc-when">{boxes[activity.id]?.summary || "Not set up yet"}</span>
              </button>
            </li>
          ))}
        </ul>
        {exits.length === 0 && <p className="jc-hint">Everybody walks to an end.</p>}
        {mayChange && shown === null && (
          <button
            type="button"
            className="jc-button"
            aria-haspopup="dialog"
            onClick={(event) => editor.set({ menu: { place: "exit", anchor: event.currentTarget.getBoundingClientRect() } })}
          >
            <Icon name="add" /> Add an exit
          </button>
        )}
      </section>
      <section className="jc-versions" aria-label="Goal">
        <h3>Goal</h3>
        <p className="jc-hint">
          {journey.goal
            ? `${journey.goal.event} within ${journey.goal.days} ${journey.goal.days === 1 ? "day" : "days"} of a message${journey.goal.condition ? `, when ${journey.goal.condition}` : ""}`
            : "What its messages should bring about is not set."}
        </p>
        <p className="jc-hint">
          <a href={editor.boot.links.goal}>{journey.goal ? "The goal" : "Set a goal"}</a>
          {editor.boot.links.report && (
            <>
              {" · "}
              <a href={editor.boot.links.report}>Report</a>
            </>
          )}
        </p>
      </section>
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
