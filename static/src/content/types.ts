/** What the page tells the editor, and the bodies of the API that it reads and writes. */

export interface Field {
  path: string;
  label: string;
  group: "profile" | "event" | "brand" | "link";
  type: string;
}

export interface Configuration {
  key: string;
  name: string;
  sender: string;
}

export interface StartingPoint {
  key: string;
  label: string;
  description: string;
  icon: string;
  mjml: string;
}

export type Channel = "email" | "sms" | "push" | "webhook" | "direct_mail";

export interface Boot {
  key: string;
  name: string;
  channel: Channel;
  api: string;
  listUrl: string;
  docsUrl: string;
  userEmail: string;
  canChange: boolean;
  canPublish: boolean;
  canProof: boolean;
  canSeePeople: boolean;
  fields: Field[];
  events: string[];
  configurations: Configuration[];
  startingPoints: StartingPoint[];
  tags: Record<string, { attributes: string[]; children: string[] }>;
}

export interface Words {
  subject: string;
  preheader: string;
  mjml: string;
  html: string;
  text: string;
  image_url: string;
  link_url: string;
  /** Pairs of a name and its Liquid: columns of direct mail, values that an app is given with a push. */
  columns: Column[];
}

export type Column = [name: string, source: string];

export interface Variant extends Words {
  treatment: string;
  locale: string;
}

export type WordField = keyof Words;

/** Where a text is written: a field, or the value of a column. */
export type Place = Exclude<WordField, "columns"> | `columns.${number}`;

export interface Version {
  number: number;
  state: "draft" | "published";
  published_at: string | null;
  variants: Variant[];
}

export interface Draft extends Version {
  /** null: there is no draft yet, the words are those of the newest version. */
  revision: string | null;
  problems: string[];
}

export interface VersionNote {
  number: number;
  state: "draft" | "published";
  published_at: string | null;
}

export interface Content {
  key: string;
  name: string;
  versions: VersionNote[];
}

export interface Finding {
  level: "error" | "warning";
  field: WordField;
  line: number | null;
  message: string;
}

export interface Check {
  code: string;
  level: "ok" | "advice" | "warning" | "error";
  field: WordField | "";
  line: number | null;
  message: string;
}

export interface Preview {
  is_rendered: boolean;
  subject: string;
  preheader: string;
  html: string;
  text: string;
  image_url: string;
  link_url: string;
  columns: Column[];
  /** Of an SMS: what it is sent and paid in. */
  parts: Parts | null;
  problems: Finding[];
  checks: Check[];
  values: Record<string, unknown>;
}

export interface Parts {
  count: number;
  units: number;
  /** Units that still fit into the last part. */
  left: number;
  encoding: string;
  /** The first character that is not in the short alphabet. */
  foreign: string;
}

export interface Person {
  id: string;
  name: string;
  detail: string;
}
