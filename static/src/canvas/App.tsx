import { ReactFlowProvider } from "@xyflow/react";
import { useEffect } from "react";

import { BoxPanel } from "./BoxPanel";
import { ConflictDialog } from "./ConflictDialog";
import { JourneyMap } from "./JourneyMap";
import { JourneyPanel } from "./JourneyPanel";
import { KeysDialog } from "./KeysDialog";
import { ListView } from "./ListView";
import { Notice } from "./Notice";
import { ProblemsPanel } from "./ProblemsPanel";
import { RemoveDialog } from "./RemoveDialog";
import { StepMenu } from "./StepMenu";
import { Toolbar } from "./Toolbar";
import { VerbDialog } from "./VerbDialog";
import { useKeys } from "./keys";
import { useEditor, useEditorState } from "./store";

export function App() {
  const editor = useEditor();
  const panel = useEditorState((state) => state.panel);
  const view = useEditorState((state) => state.view);
  useKeys();
  useEffect(() => editor.keepCounting(), [editor]);
  useEffect(() => {
    const guard = (event: BeforeUnloadEvent): void => {
      if (editor.state.saving !== "clean") event.preventDefault();
    };
    window.addEventListener("beforeunload", guard);
    return () => window.removeEventListener("beforeunload", guard);
  }, [editor]);
  return (
    <ReactFlowProvider>
      <Toolbar />
      <div className="jc-body" data-panel={panel ?? "none"}>
        <div className="jc-stage">{view === "map" ? <JourneyMap /> : <ListView />}</div>
        {panel === "box" && <BoxPanel />}
        {panel === "journey" && <JourneyPanel />}
        {panel === "problems" && <ProblemsPanel />}
      </div>
      <StepMenu />
      <RemoveDialog />
      <VerbDialog />
      <ConflictDialog />
      {panel === "keys" && <KeysDialog />}
      <Notice />
    </ReactFlowProvider>
  );
}
