import { useCallback, useEffect, useRef, useState } from "react";

import { ApiProblem } from "../shared/api";
import { load, save } from "./server";
import type { Boot, Draft, Variant } from "./types";

const IDLE_MS = 1200;

export type Saving = "saved" | "unsaved" | "saving" | "failed" | "conflict";

export interface DraftState {
  variants: Variant[];
  number: number;
  isDraft: boolean;
  saving: Saving;
  savedAt: number | null;
  failure: string;
  change: (variants: Variant[]) => void;
  /** Saves what is not saved yet; false when it could not. */
  flush: () => Promise<boolean>;
  /** After a conflict: what the server has, or what is on the screen. */
  takeTheirs: () => Promise<void>;
  keepMine: () => Promise<void>;
  /** Something else changed the draft on the server, such as publishing. */
  reload: () => Promise<void>;
}

/** The words on the screen and their way to the server: saved when the hands rest, with a revision check. */
export function useDraft(boot: Boot, opened: Draft): DraftState {
  const [variants, setVariants] = useState(opened.variants);
  const [stored, setStored] = useState({ number: opened.number, isDraft: opened.revision !== null });
  const [saving, setSaving] = useState<Saving>("saved");
  const [savedAt, setSavedAt] = useState<number | null>(null);
  const [failure, setFailure] = useState("");
  const latest = useRef(opened.variants);
  const revision = useRef(opened.revision);
  const isDirty = useRef(false);
  const running = useRef<Promise<boolean> | null>(null);
  const timer = useRef<number | undefined>(undefined);

  const show = useCallback((draft: Draft) => {
    revision.current = draft.revision;
    latest.current = draft.variants;
    isDirty.current = false;
    setVariants(draft.variants);
    setStored({ number: draft.number, isDraft: draft.revision !== null });
    setSaving("saved");
    setFailure("");
  }, []);

  const flush = useCallback(async (): Promise<boolean> => {
    window.clearTimeout(timer.current);
    if (running.current) await running.current;
    if (!isDirty.current) return true;
    const attempt = (async () => {
      const sent = latest.current;
      isDirty.current = false;
      setSaving("saving");
      try {
        const draft = await save(boot, revision.current, sent);
        revision.current = draft.revision;
        setStored({ number: draft.number, isDraft: true });
        setSavedAt(Date.now());
        setFailure("");
        setSaving(isDirty.current ? "unsaved" : "saved");
        return true;
      } catch (error) {
        isDirty.current = true;
        const isStale = error instanceof ApiProblem && error.code === "stale_revision";
        setFailure(error instanceof Error ? error.message : String(error));
        setSaving(isStale ? "conflict" : "failed");
        return false;
      }
    })();
    running.current = attempt;
    const isSaved = await attempt;
    running.current = null;
    return isSaved;
  }, [boot]);

  const change = useCallback(
    (next: Variant[]) => {
      latest.current = next;
      isDirty.current = true;
      setVariants(next);
      setSaving((now) => (now === "conflict" ? now : "unsaved"));
      window.clearTimeout(timer.current);
      timer.current = window.setTimeout(() => void flush(), IDLE_MS);
    },
    [flush],
  );

  const reload = useCallback(async () => show(await load(boot)), [boot, show]);

  const keepMine = useCallback(async () => {
    revision.current = (await load(boot)).revision;
    isDirty.current = true;
    await flush();
  }, [boot, flush]);

  useEffect(() => {
    const warn = (event: BeforeUnloadEvent) => {
      if (isDirty.current) event.preventDefault();
    };
    window.addEventListener("beforeunload", warn);
    return () => window.removeEventListener("beforeunload", warn);
  }, []);

  return {
    variants,
    number: stored.number,
    isDraft: stored.isDraft,
    saving,
    savedAt,
    failure,
    change,
    flush,
    takeTheirs: reload,
    keepMine,
    reload,
  };
}
