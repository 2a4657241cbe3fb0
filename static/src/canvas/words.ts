/** The fixed words of the canvas. What the registry says comes translated from the server. */

export const words = {
  boxes: (n: number) => (n === 1 ? "1 activity" : `${n} activities`),
  problems: (n: number) => (n === 0 ? "No problems" : n === 1 ? "1 problem" : `${n} problems`),
  number: (n: number) => n.toLocaleString("en"),
  people: (n: number) => (n === 1 ? "1 person" : `${n.toLocaleString("en")} people`),
  ago: (seconds: number) =>
    seconds < 60
      ? `${Math.max(1, Math.round(seconds))} s ago`
      : seconds < 3600
        ? `${Math.round(seconds / 60)} min ago`
        : `${Math.round(seconds / 3600)} h ago`,
};

export interface Verb {
  label: string;
  done: string;
  icon: string;
  isDangerous: boolean;
  /** What happens to people, with the number of those inside now. */
  warning: (inside: number) => string;
}

export const verbs: Record<"publish" | "pause" | "resume" | "close" | "stop", Verb> = {
  publish: {
    label: "Publish",
    done: "Published. People can come in now.",
    icon: "rocket_launch",
    isDangerous: false,
    warning: (inside) =>
      inside > 0
        ? `The draft is frozen as a version and lets people in from now on. The ${words.people(inside)} inside the older versions walk on in them; nobody new enters those.`
        : "The draft is frozen as a version and lets people in from now on.",
  },
  pause: {
    label: "Pause",
    done: "Paused. Nobody moves.",
    icon: "pause",
    isDangerous: false,
    warning: (inside) =>
      `Nobody enters any more. The ${words.people(inside)} inside stand still until you resume: their waits run on, but end nothing until then. Events that arrive in the meantime let nobody in.`,
  },
  resume: {
    label: "Resume",
    done: "Resumed. People walk on.",
    icon: "play_arrow",
    isDangerous: false,
    warning: (inside) =>
      `People enter again. Of the ${words.people(inside)} inside, those whose wait is over by now go on at once.`,
  },
  close: {
    label: "Close to new people",
    done: "Closed. Nobody enters any more.",
    icon: "door_front",
    isDangerous: false,
    warning: (inside) =>
      `Nobody enters any more. The ${words.people(inside)} inside walk on to their end; after the last one this version is finished. A closed version cannot be opened again.`,
  },
  stop: {
    label: "Stop",
    done: "Stopped. Everybody was taken out.",
    icon: "stop_circle",
    isDangerous: true,
    warning: (inside) =>
      `All ${words.people(inside)} inside are taken out of every version, and messages that are still queued for them are withheld. This cannot be undone.`,
  },
};

export const keys: [string, string][] = [
  ["Tab", "Go from card to card, and to the + behind each"],
  ["Enter", "Open the settings of a card"],
  ["Delete", "Remove the card"],
  ["Ctrl + D", "Duplicate the card"],
  ["Ctrl + Z", "Undo"],
  ["Ctrl + Shift + Z, Ctrl + Y", "Redo"],
  ["Ctrl + S", "Save now"],
  ["L", "Change between map and list"],
  ["P", "List the problems"],
  ["0", "See the whole journey"],
  ["1", "Original size"],
  ["+ and −", "Zoom in and out"],
  ["Esc", "Close what is open; the focus returns to the card"],
  ["?", "Show this list"],
];
