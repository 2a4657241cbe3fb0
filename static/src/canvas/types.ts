/** The shapes that the server speaks; what each means stands beside its Python twin. */

export type Value = string | number | boolean | null | Value[] | { [name: string]: Value };
export type Config = Record<string, Value>;

export interface Activity {
  id: string;
  kind: string;
  config: Config;
  label?: string;
}

export interface Link {
  from: string;
  port: string;
  to: string;
}

export interface Graph {
  activities: Activity[];
  links: Link[];
}

export interface Port {
  id: string;
  label: string;
  is_optional: boolean;
}

/** What the server says about one box: its exits in their order, and what it does in a few words. */
export interface Box {
  ports: Port[];
  summary: string;
}

export type Boxes = Record<string, Box>;

export interface Problem {
  level: "error" | "warning";
  activity: string;
  field: string;
  message: string;
}

export interface Choice {
  value: string | number;
  label: string;
}

export interface Field {
  name: string;
  label: string;
  help: string;
  type:
    | "text"
    | "integer"
    | "number"
    | "boolean"
    | "choice"
    | "choices"
    | "values"
    | "list"
    | "object"
    | "duration"
    | "time"
    | "date"
    | "datetime";
  required: boolean;
  nullable: boolean;
  default: Value;
  widget: string;
  shown_when: Record<string, Value[]> | null;
  choices?: Choice[];
  fields?: Field[];
  min?: number;
  max?: number;
  max_length?: number;
  min_items?: number;
  max_items?: number;
}

export interface Kind {
  kind: string;
  label: string;
  category: string;
  icon: string;
  help: string;
  is_entry: boolean;
  is_exit: boolean;
  fields: Field[];
  defaults: Config;
  ports: Port[];
}

export interface Version {
  number: number;
  state: string;
  re_entry: string;
  published_at: string | null;
  ended_at: string | null;
}

export interface Journey {
  key: string;
  name: string;
  description: string;
  state: string;
  versions: Version[];
  draft: { number: number; revision: number } | null;
  goal: { event: string; condition: string; days: number } | null;
}

/** A draft, or the newest version where there is none: then `revision` is null. */
export interface Draft {
  number: number;
  revision: number | null;
  graph: Graph;
  re_entry: string;
  problems: Problem[];
  boxes: Boxes;
}

export interface Reading {
  problems: Problem[];
  boxes: Boxes;
}

export interface BoxCount {
  waiting: number;
  passed: number;
  outcomes: Record<string, number>;
}

export interface Counts {
  version: number;
  entered: number;
  active: number;
  ended: number;
  failed: number;
  stopped: number;
  boxes: Record<string, BoxCount>;
}

export interface Boot {
  api: string;
  key: string;
  kinds: Kind[];
  categories: Record<string, string>;
  states: Record<string, string>;
  re_entries: Choice[];
  may: { change: boolean; publish: boolean; operate: boolean };
  /** Addresses of other pages; in `edit_content` the key stands for __key__. */
  links: { add_content: string; edit_content: string; docs: string; goal: string; report: string };
}

/** What undo and redo restore. */
export interface Doc {
  graph: Graph;
  reEntry: string;
}
