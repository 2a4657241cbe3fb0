import { useEffect, useState } from "react";

import { Dialog } from "./Dialog";
import { loadContent, loadVersion } from "./server";
import type { Boot, Version, VersionNote } from "./types";
import { words } from "./words";

interface Props {
  boot: Boot;
  onLook: (version: Version) => void;
  onStartFrom: (version: Version) => void;
  onClose: () => void;
}

/** All editions, newest first: look at one, or go on writing from it. */
export function VersionsDialog({ boot, onLook, onStartFrom, onClose }: Props) {
  const [versions, setVersions] = useState<VersionNote[] | null>(null);
  const [failure, setFailure] = useState("");
  const fail = (error: unknown) => setFailure(error instanceof Error ? error.message : String(error));

  useEffect(() => {
    loadContent(boot).then((content) => setVersions(content.versions), fail);
  }, [boot]);

  const open = (number: number, then: (version: Version) => void) => loadVersion(boot, number).then(then, fail);

  return (
    <Dialog title="Versions" onClose={onClose}>
      {failure && (
        <p className="ce-banner is-error" role="alert">
          {failure}
        </p>
      )}
      <ol className="ce-versions" aria-busy={versions === null}>
        {versions?.map(({ number, state, published_at }) => (
          <li key={number}>
            <span className={`ce-badge is-${state}`}>{state === "draft" ? "Draft" : `Version ${number}`}</span>
            <span className="ce-when">{published_at ? words.published(published_at) : "What you write now"}</span>
            {state === "published" && (
              <>
                <button type="button" className="ce-button" onClick={() => void open(number, onLook)}>
                  Look at
                </button>
                {boot.canChange && (
                  <button type="button" className="ce-button" onClick={() => void open(number, onStartFrom)}>
                    Start from it
                  </button>
                )}
              </>
            )}
          </li>
        ))}
      </ol>
    </Dialog>
  );
}
