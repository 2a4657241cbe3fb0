import { useState } from "react";

import { Dialog } from "./Dialog";
import type { Variant } from "./types";

interface Props {
  variants: Variant[];
  onAdd: (locale: string) => void;
  onClose: () => void;
}

const LOCALE = /^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$/;

/** Adds words in another language; they begin as a copy of those that are written now. */
export function LanguageDialog({ variants, onAdd, onClose }: Props) {
  const [locale, setLocale] = useState("");
  const wanted = locale.trim().replaceAll("_", "-");
  const isTaken = variants.some((each) => each.locale.toLowerCase() === wanted.toLowerCase());
  const problem = !wanted
    ? ""
    : !LOCALE.test(wanted)
      ? "A locale is a language, such as de, and may have a country: de-AT."
      : isTaken
        ? `There are words for ${wanted} already.`
        : "";
  return (
    <Dialog title="Add a language" onClose={onClose}>
      <form
        className="ce-form"
        onSubmit={(submit) => {
          submit.preventDefault();
          if (wanted && !problem) onAdd(wanted);
        }}
      >
        <label>
          <span>Locale</span>
          <input
            autoFocus
            required
            value={locale}
            maxLength={20}
            placeholder="de or de-AT"
            aria-invalid={problem !== ""}
            aria-describedby="ce-locale-said"
            onChange={(change) => setLocale(change.target.value)}
          />
        </label>
        <p id="ce-locale-said" className={problem ? "ce-problem" : "ce-note"}>
          {problem ||
            "People whose attribute locale is this one, or begins with it, get these words; everybody else those for everybody."}
        </p>
        <footer>
          <button type="button" className="ce-button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="ce-button is-primary" disabled={!wanted || problem !== ""}>
            Add
          </button>
        </footer>
      </form>
    </Dialog>
  );
}
