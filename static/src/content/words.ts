/** The fixed words of the content editor. */

export const words = {
  kinds: { mjml: "MJML", html: "HTML", text: "Plain text" },
  preheaderHelp: "The first words that an inbox shows beside the subject.",
  textHelp: "Leave it empty, and it is made from the body.",
  pictureHelp: "https://… of a picture, or empty",
  linkHelp: "https://… or empty to open the app",
  dataHelp: "What the app is given beside the words. There may be none.",
  columnsHelp: "One column of the printer's file each, in this order.",
  jsonHelp: "The document that the other system is sent. Values are escaped for JSON by themselves.",
  leave: "Press Esc, then Tab, to leave the code with the keyboard.",
  nobody: "Somebody we know nothing about",
  nobodyDetail: "Shows every default",
  saved: (seconds: number) => (seconds < 5 ? "Saved" : `Saved ${ago(seconds)}`),
  saving: "Saving…",
  unsaved: "Not saved yet",
  unsavable: "Not saved",
  problems: (n: number) => (n === 0 ? "No problems" : n === 1 ? "1 problem" : `${n} problems`),
  hints: (n: number) => (n === 0 ? "all checks passed" : n === 1 ? "1 thing to look at" : `${n} things to look at`),
  line: (n: number) => `Line ${n}`,
  published: (at: string) =>
    `Published ${new Date(at).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" })}`,
};

function ago(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s ago`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3600)} h ago`;
}
