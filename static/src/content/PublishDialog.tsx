import { useState } from "react";

import { ApiProblem } from "../shared/api";
import { Dialog } from "./Dialog";
import { publish } from "./server";
import type { Boot, Content } from "./types";

interface Props {
  boot: Boot;
  number: number;
  onBefore: () => Promise<boolean>;
  onPublished: (content: Content) => void;
  onClose: () => void;
}

export function PublishDialog({ boot, number, onBefore, onPublished, onClose }: Props) {
  const [isBusy, setBusy] = useState(false);
  const [reasons, setReasons] = useState<string[]>([]);

  const run = async () => {
    setBusy(true);
    setReasons([]);
    try {
      if (!(await onBefore())) throw new Error("The words could not be saved, so nothing was published.");
      onPublished(await publish(boot));
    } catch (error) {
      const named = error instanceof ApiProblem ? error.errors.map(({ message }) => message) : [];
      setReasons(named.length ? named : [error instanceof Error ? error.message : String(error)]);
      setBusy(false);
    }
  };

  return (
    <Dialog title={`Publish version ${number}`} onClose={onClose}>
      <p className="ce-note">
        The words are frozen. What is published or sent from now on uses them; journeys that are live keep the version that
        they were published with.
      </p>
      {reasons.length > 0 && (
        <div className="ce-banner is-error" role="alert">
          <p>It was not published:</p>
          <ul>
            {reasons.map((reason) => (
              <li key={reason}>{reason}</li>
            ))}
          </ul>
        </div>
      )}
      <footer className="ce-actions">
        <button type="button" className="ce-button" onClick={onClose}>
          Cancel
        </button>
        <button type="button" autoFocus className="ce-button is-primary" disabled={isBusy} onClick={() => void run()}>
          {isBusy ? "Publishing…" : "Publish"}
        </button>
      </footer>
    </Dialog>
  );
}
