import { createRoot } from "react-dom/client";

createRoot(document.getElementById("content")!).render(<p>…</p>);
