import "@xyflow/react/dist/style.css";
import "./canvas/canvas.css";

import { createRoot } from "react-dom/client";

import { App } from "./canvas/App";
import { Failure } from "./canvas/Failure";
import { Editor, EditorContext } from "./canvas/store";
import type { Boot } from "./canvas/types";
import { boot } from "./shared/boot";

const root = createRoot(document.getElementById("canvas")!);

Editor.open(boot<Boot>("canvas-boot")).then(
  (editor) =>
    root.render(
      <EditorContext value={editor}>
        <App />
      </EditorContext>,
    ),
  (error: unknown) => root.render(<Failure error={error} />),
);
