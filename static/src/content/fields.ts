import type { Channel, Column, Place, WordField, Words } from "./types";

const EMAIL: Record<WordField, string> = {
  subject: "Subject",
  preheader: "Preheader",
  mjml: "MJML",
  html: "HTML",
  text: "Plain text",
  image_url: "Picture",
  link_url: "Link",
  columns: "Columns",
};

/** What the fields of a channel are called. */
export const labels: Record<Channel, Record<WordField, string>> = {
  email: EMAIL,
  sms: { ...EMAIL, text: "Text" },
  push: { ...EMAIL, subject: "Title", text: "Text", columns: "Values for the app" },
  webhook: { ...EMAIL, text: "JSON" },
  direct_mail: EMAIL,
};

export function textAt(words: Words, place: Place): string {
  const index = columnOf(place);
  return index === null ? words[place as Exclude<WordField, "columns">] : (words.columns[index]?.[1] ?? "");
}

/** The change that writes a text into a place. */
export function written(words: Words, place: Place, text: string): Partial<Words> {
  const index = columnOf(place);
  if (index === null) return { [place]: text };
  return { columns: words.columns.map((column, at): Column => (at === index ? [column[0], text] : column)) };
}

function columnOf(place: Place): number | null {
  return place.startsWith("columns.") ? Number(place.slice("columns.".length)) : null;
}
