import { useEffect } from "react";

import { useEditor, useEditorState } from "./store";

/** What has just happened, shown for some seconds and read out. Trouble stays until it is over. */
export function Notice() {
  const editor = useEditor();
  const notice = useEditorState((state) => state.notice);
  const trouble = useEditorState((state) => state.trouble);
  useEffect(() => {
    if (!notice) return;
    const timer = window.setTimeout(() => editor.set({ notice: "" }), 6_000);
    return () => clearTimeout(timer);
  }, [editor, notice]);
  return (
    <>
      <div className="jc-notices" role="status">
        {notice && <p className="jc-toast">{notice}</p>}
      </div>
      <div className="jc-notices" role="alert">
        {trouble && <p className="jc-toast is-bad">{trouble}</p>}
      </div>
    </>
  );
}
