/** What the canvas knows, in one immutable state, and the commands that change it. */

import { createContext, useContext, useSyncExternalStore } from "react";

import { ApiProblem, call } from "../shared/api";
import * as graphs from "./graph";
import type { Loose, Place } from "./graph";
import * as histories from "./history";
import type { History } from "./history";
import type {
  Activity,
  Boot,
  Boxes,
  Config,
  Counts,
  Doc,
  Draft,
  Graph,
  Journey,
  Kind,
  Port,
  Problem,
  Reading,
  Version,
} from "./types";
import { verbs } from "./words";

const IDLE_BEFORE_SAVE = 2_000;
const IDLE_BEFORE_READING = 250;
const POLL = 10_000;

export type Panel = "box" | "journey" | "problems" | "keys";
export type Saving = "clean" | "dirty" | "saving" | "failed" | "conflict";
export type VerbName = keyof typeof verbs;

export interface State {
  journey: Journey;
  /** The draft's number, or that of the newest version while there is no draft. */
  number: number;
  revision: number | null;
  history: History<Doc>;
  boxes: Boxes;
  problems: Problem[];
  saving: Saving;
  savedAt: number | null;
  trouble: string;
  /** An older version that is looked at; null while the draft is. */
  shown: (Draft & Version) | null;
  selected: string | null;
  panel: Panel | null;
  view: "map" | "list";
  /** Where a step is about to be put. */
  menu: { place: Place | Loose; anchor: DOMRect } | null;
  removing: string | null;
  asking: VerbName | null;
  counts: Counts | null;
  /** Read out and shown for a moment. */
  notice: string;
}

export class Editor {
  readonly kinds: Map<string, Kind>;
  private readonly listeners = new Set<() => void>();
  private saveTimer = 0;
  private readTimer = 0;
  private readings = 0;

  constructor(
    readonly boot: Boot,
    public state: State,
  ) {
    this.kinds = new Map(boot.kinds.map((kind) => [kind.kind, kind]));
  }

  static async open(boot: Boot): Promise<Editor> {
    const base = `${boot.api}journeys/${boot.key}/`;
    const [journey, draft] = await Promise.all([call<Journey>("GET", base), call<Draft>("GET", `${base}draft/`)]);
    return new Editor(boot, {
      journey,
      number: draft.number,
      revision: draft.revision,
      history: histories.begin({ graph: whole(draft.graph), reEntry: draft.re_entry }),
      boxes: draft.boxes,
      problems: draft.problems,
      saving: "clean",
      savedAt: null,
      trouble: "",
      shown: null,
      selected: null,
      panel: null,
      view: window.matchMedia("(max-width: 640px)").matches ? "list" : "map",
      menu: null,
      removing: null,
      asking: null,
      counts: null,
      notice: "",
    });
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  set(changes: Partial<State>): void {
    this.state = { ...this.state, ...changes };
    for (const listener of this.listeners) listener();
  }

  // --- reading -----------------------------------------------------------------------------------------------

  get doc(): Doc {
    return this.state.history.present;
  }

  get mayEdit(): boolean {
    return this.boot.may.change && this.state.shown === null;
  }

  portsOf(graph: Graph, boxes: Boxes, id: string): Port[] {
    const activity = graphs.activityOf(graph, id);
    return activity ? graphs.portsOf(graph, boxes, this.kinds, activity) : [];
  }

  labelOf(activity: Activity): string {
    return activity.label || this.kinds.get(activity.kind)?.label || activity.kind;
  }

  nameOf(id: string): string {
    const activity = graphs.activityOf(shownGraph(this.state), id);
    return activity ? this.labelOf(activity) : id;
  }

  private isExit(id: string): boolean {
    return this.kinds.get(graphs.activityOf(this.doc.graph, id)?.kind ?? "")?.is_exit ?? false;
  }

  // --- changing the draft ------------------------------------------------------------------------------------

  change(name: string, graph: Graph, key = ""): void {
    this.write(name, { ...this.doc, graph }, key);
  }

  insert(kind: Kind, place: Place | Loose): void {
    const end = graphs.endKind(this.kinds.values());
    const [graph, id] =
      place === "exit"
        ? graphs.addExit(this.doc.graph, kind)
        : place === "entry"
          ? graphs.addEntry(this.doc.graph, kind, end, (box) => this.isExit(box))
          : graphs.insert(this.doc.graph, kind, place, end);
    this.change(`Added ${kind.label}`, graph);
    this.set({ menu: null });
    this.select(kind.fields.length > 0 ? id : null);
    if (kind.fields.length === 0) focusCard(id);
  }

  connect(from: string, port: string, to: string): void {
    const name = `Connected ${this.nameOf(from)} to ${this.nameOf(to)}`;
    this.change(name, graphs.connect(this.doc.graph, from, port, to));
    this.set({ menu: null, notice: `${name}.` });
  }

  disconnect(from: string, port: string): void {
    this.change(`Cut the line after ${this.nameOf(from)}`, graphs.disconnect(this.doc.graph, from, port));
    this.set({ menu: null });
  }

  configure(id: string, config: Config, field: string): void {
    this.change(`Changed ${this.nameOf(id)}`, graphs.configure(this.doc.graph, id, config), `config ${id} ${field}`);
  }

  rename(id: string, label: string): void {
    this.change(`Renamed ${this.nameOf(id)}`, graphs.rename(this.doc.graph, id, label), `label ${id}`);
  }

  duplicate(id: string): void {
    const activity = graphs.activityOf(this.doc.graph, id);
    if (!activity || this.kinds.get(activity.kind)?.is_entry) return;
    const ports = this.portsOf(this.doc.graph, this.state.boxes, id);
    const end = graphs.endKind(this.kinds.values());
    const [graph, copy] = graphs.duplicate(this.doc.graph, activity, ports, end);
    const drawn = this.state.boxes[id];
    if (drawn) this.set({ boxes: { ...this.state.boxes, [copy]: drawn } });
    this.change(`Duplicated ${this.nameOf(id)}`, graph);
    focusCard(copy);
  }

  /** Remove a box; where several ways lead on, ask first which one stays. */
  remove(id: string): void {
    const ways = graphs.sides(this.doc.graph, id);
    if (ways.length > 1) this.set({ removing: id });
    else this.removeKeeping(id, ways[0]?.link.port ?? null);
  }

  removeKeeping(id: string, keep: string | null): void {
    const name = `Removed ${this.nameOf(id)}`;
    const before = this.doc.graph;
    const above = before.links.find((link) => link.to === id)?.from;
    const graph = graphs.remove(before, id, keep);
    this.change(name, graph);
    const others = before.activities.length - graph.activities.length - 1;
    const more = others > 0 ? ` and ${others} more that only it led to` : "";
    this.set({ removing: null, selected: null, panel: null, notice: `${name}${more}. Ctrl+Z brings it back.` });
    if (above) focusCard(above);
  }

  setReEntry(reEntry: string): void {
    this.write("Changed re-entry", { ...this.doc, reEntry });
  }

  undo(): void {
    const name = this.state.history.past.at(-1)?.name;
    if (name && this.mayEdit) this.travel(histories.undo(this.state.history), `Undone: ${name}.`);
  }

  redo(): void {
    const name = this.state.history.future[0]?.name;
    if (name && this.mayEdit) this.travel(histories.redo(this.state.history), `Done again: ${name}.`);
  }

  private travel(history: History<Doc>, notice: string): void {
    const gone = this.state.selected !== null && !graphs.activityOf(history.present.graph, this.state.selected);
    this.set({ history, notice, ...(gone ? { selected: null, panel: null } : {}) });
    this.changed();
  }

  private write(name: string, doc: Doc, key = ""): void {
    if (!this.mayEdit) return;
    this.set({ history: histories.push(this.state.history, name, doc, key) });
    this.changed();
  }

  private changed(): void {
    if (this.state.saving !== "conflict") this.set({ saving: "dirty" });
    clearTimeout(this.readTimer);
    this.readTimer = window.setTimeout(() => void this.read(), IDLE_BEFORE_READING);
    this.saveSoon();
  }

  // --- the server's opinion ----------------------------------------------------------------------------------

  private get base(): string {
    return `${this.boot.api}journeys/${this.boot.key}/`;
  }

  /** Ask what the boxes look like now; an answer that was overtaken by another is dropped. */
  private async read(): Promise<void> {
    const mine = (this.readings += 1);
    try {
      const reading = await call<Reading>("POST", `${this.base}validate/`, { graph: this.doc.graph });
      if (mine === this.readings) this.set({ problems: reading.problems, boxes: this.merged(reading.boxes) });
    } catch (error) {
      if (!(error instanceof ApiProblem)) this.set({ trouble: OFFLINE });
    }
  }

  /** Half-written settings may make a box lose its exits for a moment: then those that were known stay. */
  private merged(boxes: Boxes): Boxes {
    const merged = { ...this.state.boxes };
    for (const [id, box] of Object.entries(boxes)) {
      const known = this.state.boxes[id];
      merged[id] = box.ports.length === 0 && known ? { ...box, ports: known.ports } : box;
    }
    return merged;
  }

  private saveSoon(): void {
    clearTimeout(this.saveTimer);
    this.saveTimer = window.setTimeout(() => void this.save(), IDLE_BEFORE_SAVE);
  }

  async save(): Promise<void> {
    clearTimeout(this.saveTimer);
    if (this.state.saving === "saving") return this.saveSoon();
    if (this.state.saving === "clean" || this.state.saving === "conflict" || !this.mayEdit) return;
    const doc = this.doc;
    const began = this.state.revision === null;
    this.set({ saving: "saving" });
    try {
      const body = { graph: doc.graph, re_entry: doc.reEntry, revision: this.state.revision };
      const draft = await call<Draft>("PUT", `${this.base}draft/`, body);
      const isCurrent = doc === this.doc;
      this.set({
        number: draft.number,
        revision: draft.revision,
        saving: isCurrent ? "clean" : "dirty",
        savedAt: Date.now(),
        trouble: "",
        ...(isCurrent ? { problems: draft.problems, boxes: this.merged(draft.boxes) } : {}),
      });
      if (began) await this.refresh();
    } catch (error) {
      if (error instanceof ApiProblem && error.status === 409) this.set({ saving: "conflict" });
      else this.set({ saving: "failed", trouble: error instanceof ApiProblem ? error.message : OFFLINE });
      if (!(error instanceof ApiProblem)) this.saveTimer = window.setTimeout(() => void this.save(), POLL);
    }
  }

  /** Somebody was quicker: take what they wrote. Mine stays one undo away. */
  async takeTheirs(): Promise<void> {
    const draft = await call<Draft>("GET", `${this.base}draft/`);
    const doc = { graph: whole(draft.graph), reEntry: draft.re_entry };
    this.set({
      number: draft.number,
      revision: draft.revision,
      history: histories.push(this.state.history, "Loaded the colleague’s draft", doc),
      boxes: draft.boxes,
      problems: draft.problems,
      saving: "clean",
      savedAt: null,
      selected: null,
      panel: null,
    });
    await this.refresh();
  }

  /** Somebody was quicker: write mine over theirs. */
  async keepMine(): Promise<void> {
    const draft = await call<Draft>("GET", `${this.base}draft/`);
    this.set({ revision: draft.revision, saving: "dirty" });
    await this.save();
  }

  private async refresh(): Promise<void> {
    this.set({ journey: await call<Journey>("GET", this.base) });
  }

  async describe(name: string, description: string): Promise<void> {
    try {
      this.set({ journey: await call<Journey>("PATCH", this.base, { name, description }), notice: "Saved." });
    } catch (error) {
      this.set({ trouble: error instanceof ApiProblem ? error.message : OFFLINE });
    }
  }

  // --- operating it ------------------------------------------------------------------------------------------

  /** Publish, pause, resume, close or stop. Returns the refusal in words, empty when it was done. */
  async operate(verb: VerbName): Promise<string> {
    if (this.state.saving === "dirty" || this.state.saving === "failed") await this.save();
    if (this.state.saving !== "clean") return "The draft could not be saved, so nothing was done. Save it first.";
    try {
      await call<Journey>("POST", `${this.base}${verb}/`, {});
    } catch (error) {
      if (!(error instanceof ApiProblem)) return OFFLINE;
      void this.read();
      return error.message;
    }
    const draft = await call<Draft>("GET", `${this.base}draft/`);
    this.set({
      asking: null,
      notice: verbs[verb].done,
      number: draft.number,
      revision: draft.revision,
      problems: draft.problems,
      savedAt: null,
    });
    await this.refresh();
    await this.count();
    return "";
  }

  async show(number: number | null): Promise<void> {
    if (number === null) this.set({ shown: null, selected: null, panel: null });
    else {
      const shown = await call<Draft & Version>("GET", `${this.base}versions/${number}/`);
      this.set({ shown: { ...shown, graph: whole(shown.graph) }, selected: null, panel: null });
    }
    await this.count();
  }

  /** The version whose people are counted: the one that is looked at, else the newest that was published. */
  get counted(): Version | undefined {
    const { shown, journey } = this.state;
    if (shown) return shown.state === "draft" ? undefined : shown;
    return journey.versions.filter((version) => version.state !== "draft").sort((a, b) => b.number - a.number)[0];
  }

  async count(): Promise<void> {
    const version = this.counted;
    if (!version) return this.set({ counts: null });
    try {
      const counts = await call<Counts>("GET", `${this.base}counts/?version=${version.number}`);
      if (this.counted?.number === version.number) this.set({ counts });
    } catch {
      // The next round asks again; numbers that are ten seconds older harm nobody.
    }
  }

  /** Count every ten seconds while somebody looks. */
  keepCounting(): () => void {
    const tick = (): void => {
      if (document.visibilityState === "visible") void this.count();
    };
    const timer = window.setInterval(tick, POLL);
    document.addEventListener("visibilitychange", tick);
    tick();
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", tick);
    };
  }

  // --- looking -----------------------------------------------------------------------------------------------

  select(id: string | null): void {
    this.set({ selected: id, panel: id === null ? null : "box", menu: null });
  }

  /** Close what is open, and give the focus back to the card. */
  closePanel(): void {
    const id = this.state.selected;
    this.set({ selected: null, panel: null });
    if (id !== null) focusCard(id);
  }
}

const OFFLINE = "The server cannot be reached. Your work is kept on this page; it is saved as soon as the server answers.";

/** A graph as it may come from the API: lists may be missing. */
function whole(graph: Partial<Graph> | null): Graph {
  return { activities: graph?.activities ?? [], links: graph?.links ?? [] };
}

export function shownGraph(state: State): Graph {
  return state.shown?.graph ?? state.history.present.graph;
}

/** Focus the card, now or as soon as it is drawn. */
export function focusCard(id: string): void {
  const find = (): HTMLElement | null => document.querySelector(`[data-card="${CSS.escape(id)}"]`);
  const card = find();
  if (card) card.focus();
  else requestAnimationFrame(() => requestAnimationFrame(() => find()?.focus()));
}

export const EditorContext = createContext<Editor | null>(null);

export function useEditor(): Editor {
  const editor = useContext(EditorContext);
  if (!editor) throw new Error("There is no editor around this component.");
  return editor;
}

/** A part of the state; the component is drawn again when that part is another value. */
export function useEditorState<T>(select: (state: State) => T): T {
  const editor = useEditor();
  return useSyncExternalStore(editor.subscribe, () => select(editor.state));
}
