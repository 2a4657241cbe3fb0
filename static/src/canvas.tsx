import { createRoot } from "react-dom/client";

createRoot(document.getElementById("canvas")!).render(<p>…</p>);
