/** Undo and redo as values: what was before, what is, what was taken back. */

const MOST = 200;

export interface Step<T> {
  /** What was done, in words for the button: "Removed Wait". */
  name: string;
  /** Steps in a row with the same key are one: typing a word is not ten steps. */
  key: string;
  before: T;
}

export interface History<T> {
  past: Step<T>[];
  present: T;
  future: Step<T>[];
}

export function begin<T>(present: T): History<T> {
  return { past: [], present, future: [] };
}

export function push<T>(history: History<T>, name: string, present: T, key = ""): History<T> {
  const last = history.past.at(-1);
  if (key !== "" && last?.key === key && history.future.length === 0) return { ...history, present };
  const past = [...history.past, { name, key, before: history.present }].slice(-MOST);
  return { past, present, future: [] };
}

export function undo<T>(history: History<T>): History<T> {
  const last = history.past.at(-1);
  if (!last) return history;
  return {
    past: history.past.slice(0, -1),
    present: last.before,
    future: [{ ...last, before: history.present }, ...history.future],
  };
}

export function redo<T>(history: History<T>): History<T> {
  const [next, ...rest] = history.future;
  if (!next) return history;
  return { past: [...history.past, { ...next, key: "", before: history.present }], present: next.before, future: rest };
}
