import { useEffect, useState } from "react";

import { onlyWords, preview } from "./server";
import type { Boot, Preview, Words } from "./types";

const IDLE_MS = 250;

export interface PreviewState {
  /** The newest answer: its problems and checks belong to the words as they stand. */
  answer: Preview | null;
  /** The newest answer that could be rendered: the picture stays while a problem is being typed away. */
  shown: Preview | null;
  failure: string;
}

/** Asks the server for the message whenever the words, the person or the event change and the hands rest. */
export function usePreview(boot: Boot, words: Words, profile: string | null, event: string): PreviewState {
  const [state, setState] = useState<PreviewState>({ answer: null, shown: null, failure: "" });
  const asked = JSON.stringify(onlyWords(words));
  useEffect(() => {
    const abort = new AbortController();
    const timer = window.setTimeout(() => {
      preview(boot, JSON.parse(asked) as Words, profile, event, abort.signal).then(
        (answer) =>
          setState((before) => ({
            answer,
            shown: answer.is_rendered ? answer : before.shown,
            failure: "",
          })),
        (error: unknown) => {
          if (abort.signal.aborted) return;
          setState((before) => ({ ...before, failure: error instanceof Error ? error.message : String(error) }));
        },
      );
    }, IDLE_MS);
    return () => {
      window.clearTimeout(timer);
      abort.abort();
    };
  }, [boot, asked, profile, event]);
  return state;
}
