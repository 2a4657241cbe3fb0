import type { Field } from "./types";

/** The text that writes a field, with what to write instead when it is missing. */
export function output(path: string, fallback: string): string {
  if (!fallback) return `{{ ${path} }}`;
  const quote = fallback.includes('"') && !fallback.includes("'") ? "'" : '"';
  const text = quote === '"' ? fallback.replaceAll('"', "”") : fallback;
  return `{{ ${path} | default: ${quote}${text}${quote} }}`;
}

/** The value that a path has now, as people read it; null when there is none. */
export function valueAt(values: Record<string, unknown>, path: string): string | null {
  let value: unknown = values;
  for (const segment of path.split(".")) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
    value = (value as Record<string, unknown>)[segment];
  }
  if (value === undefined || value === null || value === "") return null;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** The declared fields, and those that the chosen profile and event have beyond them. */
export function allFields(declared: Field[], values: Record<string, unknown>): Field[] {
  const known = new Set(declared.map((field) => field.path));
  const found: Field[] = [];
  for (const group of ["profile", "event"] as const) {
    const root = values[group];
    if (typeof root !== "object" || root === null) continue;
    for (const name of Object.keys(root)) {
      const path = `${group}.${name}`;
      if (!known.has(path) && /^[\w-]+$/.test(name)) found.push({ path, label: name, group, type: "" });
    }
  }
  return [...declared, ...found];
}
