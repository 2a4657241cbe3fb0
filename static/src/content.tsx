import "./content/content.css";

import { createRoot } from "react-dom/client";

import { App } from "./content/App";
import { Failure } from "./content/Failure";
import { load } from "./content/server";
import type { Boot } from "./content/types";
import { boot } from "./shared/boot";

const root = createRoot(document.getElementById("content-editor")!);
const page = boot<Boot>("content-boot");

load(page).then(
  (draft) => root.render(<App boot={page} opened={draft} />),
  (error: unknown) => root.render(<Failure error={error} />),
);
