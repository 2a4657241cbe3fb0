import { useEffect } from "react";

import { useEditor } from "./store";

/** The one key map of the page. Zoom keys belong to the map, which knows how. */
export function useKeys(): void {
  const editor = useEditor();
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent): void => {
      if (document.querySelector("dialog[open]")) return;
      const key = event.key.toLowerCase(); // with Shift held, z arrives as Z
      const isCommand = event.ctrlKey || event.metaKey;
      const done = (): void => event.preventDefault();
      if (isCommand && key === "s") {
        done();
        void editor.save();
      } else if (isTyping(event.target)) {
        if (key === "escape" && editor.state.menu === null) editor.closePanel();
      } else if (isCommand && key === "z") {
        done();
        if (event.shiftKey) editor.redo();
        else editor.undo();
      } else if (isCommand && key === "y") {
        done();
        editor.redo();
      } else if (isCommand && key === "d") {
        const id = cardOf(event.target) ?? editor.state.selected;
        if (id !== null && editor.mayEdit) {
          done();
          editor.duplicate(id);
        }
      } else if (isCommand || event.altKey) {
        return;
      } else if (key === "delete" || key === "backspace") {
        const id = cardOf(event.target);
        if (id !== null && editor.mayEdit) {
          done();
          editor.remove(id);
        }
      } else if (key === "escape") {
        if (editor.state.panel !== null) editor.closePanel();
      } else if (key === "?") {
        editor.set({ panel: "keys" });
      } else if (key === "l") {
        editor.set({ view: editor.state.view === "map" ? "list" : "map" });
      } else if (key === "p") {
        editor.set({ panel: "problems", selected: null });
      }
    };
    document.addEventListener("keydown", onKeyDown);
    return () => document.removeEventListener("keydown", onKeyDown);
  }, [editor]);
}

/** In a field, letters are text and the browser's own undo counts. */
export function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("input, textarea, select, [contenteditable]") !== null;
}

function cardOf(target: EventTarget | null): string | null {
  return target instanceof HTMLElement ? (target.closest<HTMLElement>("[data-card]")?.dataset["card"] ?? null) : null;
}
