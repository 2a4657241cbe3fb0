import { lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState } from "react";

import { BodyDialog } from "./BodyDialog";
import { Dialog } from "./Dialog";
import type { EditorHandle } from "./Editor";
import { FieldPicker } from "./FieldPicker";
import { Icon } from "../shared/Icon";
import { LanguageDialog } from "./LanguageDialog";
import { Line } from "./Line";
import { labels, textAt, written } from "./fields";
import { allFields } from "./liquid";
import { OtherWords } from "./OtherWords";
import { PreviewPane } from "./PreviewPane";
import { ProofDialog } from "./ProofDialog";
import { PublishDialog } from "./PublishDialog";
import { Review } from "./Review";
import { findPeople, load, rename } from "./server";
import { TopBar } from "./TopBar";
import type { Boot, Draft, Person, Place, Variant, Version, WordField, Words } from "./types";
import { useDraft } from "./useDraft";
import { usePreview } from "./usePreview";
import { VersionsDialog } from "./VersionsDialog";
import { words as said } from "./words";

const Editor = lazy(() => import("./Editor"));

type Opened = "proof" | "publish" | "versions" | "body" | "html" | "language" | null;
type Source = "body" | "text";

export function App({ boot, opened }: { boot: Boot; opened: Draft }) {
  const draft = useDraft(boot, opened);
  const [name, setName] = useState(boot.name);
  const [looked, setLooked] = useState<Version | null>(null);
  const [chosen, setChosen] = useState(0);
  const [person, setPerson] = useState<Person | null>(null);
  const [event, setEvent] = useState("");
  const [source, setSource] = useState<Source>("body");
  const [pane, setPane] = useState<"write" | "preview">("write");
  const [dialog, setDialog] = useState<Opened>(null);
  const [picksFor, setPicksFor] = useState<Place | null>(null);
  const [note, setNote] = useState("");
  const [pending, setPending] = useState<number | null>(null);
  const inputs = useRef(new Map<Place, HTMLInputElement | HTMLTextAreaElement>());
  const editor = useRef<EditorHandle>(null);

  const variants = looked?.variants ?? draft.variants;
  const variant = variants[Math.min(chosen, variants.length - 1)]!;
  const [bodyField, setBodyField] = useState<"mjml" | "html">(kindOfBody(variant));
  const field = source === "text" ? "text" : bodyField;
  const isReadOnly = looked !== null || !boot.canChange;
  const preview = usePreview(boot, variant, person?.id ?? null, event);
  const values = useMemo(() => preview.answer?.values ?? {}, [preview.answer]);
  const fields = useMemo(() => allFields(boot.fields, values), [boot.fields, values]);
  const problems = preview.answer?.problems ?? [];
  const ofField = useMemo(
    () => (wanted: WordField) => problems.filter((problem) => problem.field === wanted),
    [problems],
  );
  const codeFindings = useMemo(() => ofField(field), [ofField, field]);

  // Not asked again while somebody types: an emptied body must not become one of the other kind.
  const identity = `${looked?.number ?? ""} ${chosen}`;
  useEffect(() => setBodyField(kindOfBody(variant)), [identity]);

  useEffect(() => {
    if (!boot.canSeePeople) return;
    const abort = new AbortController();
    findPeople(boot, "", abort.signal).then(
      (people) => setPerson((now) => now ?? people[0] ?? null),
      () => undefined, // the preview shows the defaults then, and the picker says what is wrong
    );
    return () => abort.abort();
  }, [boot]);

  const write = useCallback(
    (change: Partial<Words>) => {
      // The server makes the HTML of MJML; kept here, it would become the body when the MJML is emptied.
      const made = "mjml" in change && !("html" in change) ? { html: "" } : {};
      draft.change(draft.variants.map((each, index) => (index === chosen ? { ...each, ...change, ...made } : each)));
    },
    [draft, chosen],
  );

  const keep = useCallback((place: Place, input: HTMLInputElement | HTMLTextAreaElement | null) => {
    if (input) inputs.current.set(place, input);
    else inputs.current.delete(place);
  }, []);

  const insert = (text: string) => {
    const place = picksFor;
    setPicksFor(null);
    const input = place && inputs.current.get(place);
    if (!input) {
      window.requestAnimationFrame(() => editor.current?.insert(text));
      return;
    }
    const [from, to] = [input.selectionStart ?? input.value.length, input.selectionEnd ?? input.value.length];
    const before = textAt(variant, place);
    write(written(variant, place, before.slice(0, from) + text + before.slice(to)));
    window.requestAnimationFrame(() => {
      input.focus();
      input.setSelectionRange(from + text.length, from + text.length);
    });
  };

  const jump = useCallback((wanted: WordField, line: number | null) => {
    setPane("write");
    const place: Place = wanted === "columns" ? `columns.${(line ?? 1) - 1}` : wanted;
    if (inputs.current.has(place)) {
      window.requestAnimationFrame(() => inputs.current.get(place)?.focus());
      return;
    }
    setSource(wanted === "text" ? "text" : "body");
    setPending(line ?? 1);
  }, []);

  // The line is gone to after the editor for that source is there.
  useEffect(() => {
    if (pending === null) return;
    const frame = window.requestAnimationFrame(() => {
      editor.current?.goTo(pending);
      setPending(null);
    });
    return () => window.cancelAnimationFrame(frame);
  }, [pending, source]);

  useEffect(() => {
    const onKey = (key: KeyboardEvent) => {
      if ((key.ctrlKey || key.metaKey) && key.key.toLowerCase() === "s") {
        key.preventDefault();
        void draft.flush();
      }
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [draft]);

  const removeVariant = () => {
    draft.change(draft.variants.filter((_, index) => index !== chosen));
    setChosen(0);
  };

  const close = () => setDialog(null);
  const sender = boot.configurations[0]?.sender ?? boot.name;

  return (
    <div className={`ce is-${pane}`}>
      <TopBar
        name={name}
        listUrl={boot.listUrl}
        draft={draft}
        canChange={boot.canChange}
        canPublish={boot.canPublish}
        canProof={boot.canProof && boot.channel !== "direct_mail"}
        onRename={(next) =>
          void rename(boot, next).then(
            (content) => setName(content.name),
            (error: unknown) => setNote(error instanceof Error ? error.message : String(error)),
          )
        }
        onVersions={() => setDialog("versions")}
        onProof={() => setDialog("proof")}
        onPublish={() => setDialog("publish")}
      />
      <div className="ce-notes" role="status">
        {note && (
          <p className="ce-banner is-ok">
            <Icon name="check_circle" /> <span>{note}</span>
            <button type="button" className="ce-icon-button" aria-label="Dismiss" onClick={() => setNote("")}>
              <Icon name="close" />
            </button>
          </p>
        )}
        {looked && (
          <p className="ce-banner">
            <Icon name="history" />
            <span>You are looking at version {looked.number}. It cannot be changed.</span>
            <button type="button" className="ce-button" onClick={() => setLooked(null)}>
              Back to what you write
            </button>
          </p>
        )}
      </div>
      <div className="ce-panes-switch" role="group" aria-label="Part of the editor">
        <button type="button" aria-pressed={pane === "write"} onClick={() => setPane("write")}>
          Write
        </button>
        <button type="button" aria-pressed={pane === "preview"} onClick={() => setPane("preview")}>
          Preview
        </button>
      </div>
      <div className="ce-panes">
        <section className="ce-write" aria-label="Write">
          <div className="ce-variant">
            <label htmlFor="ce-variant">For</label>
            <select
              id="ce-variant"
              value={Math.min(chosen, variants.length - 1)}
              onChange={(change) => setChosen(Number(change.target.value))}
            >
              {variants.map((each, index) => (
                <option key={index} value={index}>
                  {variantName(each)}
                </option>
              ))}
            </select>
            {!isReadOnly && (
              <>
                {variant.locale && (
                  <button type="button" className="ce-icon-button" aria-label={`Remove the words for ${variantName(variant)}`} onClick={removeVariant}>
                    <Icon name="delete" />
                  </button>
                )}
                <button type="button" className="ce-button is-quiet" onClick={() => setDialog("language")}>
                  <Icon name="translate" />
                  <span>Add a language</span>
                </button>
              </>
            )}
          </div>
          {boot.channel === "email" ? (
            <>
              <Line
                ref={(input) => keep("subject", input)}
                label={labels.email.subject}
                value={variant.subject}
                isReadOnly={isReadOnly}
                findings={ofField("subject")}
                onChange={(value) => write({ subject: value })}
                onPick={() => setPicksFor("subject")}
              />
              <Line
                ref={(input) => keep("preheader", input)}
                label={labels.email.preheader}
                help={said.preheaderHelp}
                value={variant.preheader}
                isReadOnly={isReadOnly}
                findings={ofField("preheader")}
                onChange={(value) => write({ preheader: value })}
                onPick={() => setPicksFor("preheader")}
              />
              <div className="ce-source-bar">
                <div className="ce-segments" role="group" aria-label="What is edited">
                  <button type="button" className="ce-toggle" aria-pressed={source === "body"} onClick={() => setSource("body")}>
                    Body <small>{said.kinds[bodyField]}</small>
                  </button>
                  <button type="button" className="ce-toggle" aria-pressed={source === "text"} onClick={() => setSource("text")}>
                    {said.kinds.text}
                  </button>
                </div>
                {!isReadOnly && (
                  <div className="ce-source-actions">
                    <button type="button" className="ce-button is-quiet" onClick={() => setPicksFor(field)}>
                      <Icon name="data_object" />
                      <span>Insert a field</span>
                    </button>
                    {source === "body" && (
                      <button type="button" className="ce-button is-quiet" onClick={() => setDialog("body")}>
                        <Icon name="dashboard_customize" />
                        <span>Start anew</span>
                      </button>
                    )}
                    {source === "body" && bodyField === "mjml" && (
                      <button type="button" className="ce-button is-quiet" onClick={() => setDialog("html")}>
                        <Icon name="code" />
                        <span>Edit as HTML</span>
                      </button>
                    )}
                  </div>
                )}
              </div>
              {source === "text" && <p className="ce-hint">{said.textHelp}</p>}
              <Suspense fallback={<div className="ce-code is-waiting" aria-busy="true" />}>
                <Editor
                  key={field}
                  kind={field}
                  label={source === "text" ? said.kinds.text : `Body, ${said.kinds[bodyField]}`}
                  value={variant[field]}
                  isReadOnly={isReadOnly}
                  findings={codeFindings}
                  fields={fields}
                  tags={boot.tags}
                  handle={editor}
                  onChange={(value) => value !== variant[field] && write({ [field]: value })}
                />
              </Suspense>
              <p className="ce-hint">{said.leave}</p>
            </>
          ) : (
            <OtherWords
              boot={boot}
              variant={variant}
              isReadOnly={isReadOnly}
              fields={fields}
              parts={preview.answer?.parts ?? null}
              ofField={ofField}
              editor={editor}
              keep={keep}
              onChange={write}
              onPick={setPicksFor}
            />
          )}
          <Review labels={labels[boot.channel]} problems={problems} checks={preview.answer?.checks ?? []} onJump={jump} />
        </section>
        <PreviewPane
          boot={boot}
          preview={preview}
          sender={sender}
          person={person}
          event={event}
          onPerson={setPerson}
          onEvent={setEvent}
        />
      </div>

      {picksFor && (
        <FieldPicker
          fields={fields}
          values={values}
          personName={person?.name ?? said.nobody}
          onInsert={insert}
          onClose={() => setPicksFor(null)}
        />
      )}
      {dialog === "proof" && (
        <ProofDialog boot={boot} variant={variant} person={person} event={event} onBefore={draft.flush} onClose={close} />
      )}
      {dialog === "publish" && (
        <PublishDialog
          boot={boot}
          number={draft.number}
          onBefore={draft.flush}
          onPublished={() => {
            close();
            setNote(`Version ${draft.number} is published.`);
            void draft.reload();
          }}
          onClose={close}
        />
      )}
      {dialog === "language" && (
        <LanguageDialog
          variants={draft.variants.filter(({ treatment }) => treatment === variant.treatment)}
          onAdd={(locale) => {
            close();
            const added = { ...variant, locale };
            const next = [...draft.variants, added].sort(byName); // the order in which the server gives them back
            draft.change(next);
            setChosen(next.indexOf(added));
          }}
          onClose={close}
        />
      )}
      {dialog === "versions" && (
        <VersionsDialog
          boot={boot}
          onLook={(version) => {
            close();
            setLooked(version);
          }}
          onStartFrom={(version) => {
            close();
            setLooked(null);
            setChosen(0);
            draft.change(version.variants);
            setBodyField(kindOfBody(version.variants[0]!));
            setNote(`The draft begins with the words of version ${version.number} now.`);
          }}
          onClose={close}
        />
      )}
      {dialog === "body" && (
        <BodyDialog
          title="Start the body anew"
          warning={variant[bodyField].trim() ? "What stands in the body now is replaced. Ctrl+Z in the code brings it back." : ""}
          startingPoints={boot.startingPoints}
          onChoose={(mjml) => {
            close();
            write({ mjml });
            setBodyField("mjml");
          }}
          onClose={close}
        />
      )}
      {dialog === "html" && (
        <ConfirmHtml boot={boot} variant={variant} draft={draft} onDone={(html) => {
            write({ mjml: "", html });
            setBodyField("html");
          }} onClose={close} />
      )}
      {draft.saving === "conflict" && (
        <Dialog title="Somebody else changed this draft" onClose={() => void draft.takeTheirs()}>
          <p className="ce-note">{draft.failure}</p>
          <footer className="ce-actions">
            <button type="button" className="ce-button" onClick={() => void draft.takeTheirs()}>
              Show theirs, drop mine
            </button>
            <button type="button" className="ce-button is-primary" onClick={() => void draft.keepMine()}>
              Keep mine, overwrite theirs
            </button>
          </footer>
        </Dialog>
      )}
    </div>
  );
}

interface ConfirmProps {
  boot: Boot;
  variant: Variant;
  draft: { flush: () => Promise<boolean> };
  onDone: (html: string) => void;
  onClose: () => void;
}

/** From MJML to the HTML that was made from it: there is no way back. */
function ConfirmHtml({ boot, variant, draft, onDone, onClose }: ConfirmProps) {
  const [failure, setFailure] = useState("");
  const run = async () => {
    if (!(await draft.flush())) return setFailure("The words could not be saved first.");
    const stored = await load(boot);
    const mine = stored.variants.find((each) => each.treatment === variant.treatment && each.locale === variant.locale);
    if (!mine?.html) return setFailure("There is no HTML yet. Solve the problems of the MJML first.");
    onClose();
    onDone(mine.html);
  };
  return (
    <Dialog title="Edit as HTML" onClose={onClose}>
      <p className="ce-note">The HTML that was made from the MJML becomes what you edit. There is no way back to MJML.</p>
      {failure && (
        <p className="ce-banner is-error" role="alert">
          {failure}
        </p>
      )}
      <footer className="ce-actions">
        <button type="button" className="ce-button" onClick={onClose}>
          Cancel
        </button>
        <button type="button" className="ce-button is-primary" onClick={() => void run()}>
          Edit as HTML
        </button>
      </footer>
    </Dialog>
  );
}

function kindOfBody({ mjml, html }: Variant): "mjml" | "html" {
  return mjml.trim() || !html.trim() ? "mjml" : "html";
}

function byName(one: Variant, other: Variant): number {
  const [a, b] = [one, other].map(({ treatment, locale }) => `${treatment}\n${locale}`) as [string, string];
  return a < b ? -1 : a > b ? 1 : 0;
}

function variantName({ treatment, locale }: Variant): string {
  return [treatment, locale].filter(Boolean).join(" · ") || "Everybody";
}
