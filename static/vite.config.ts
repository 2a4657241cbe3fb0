import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  base: "./", // another STATIC_URL needs no build of its own
  plugins: [react()],
  build: {
    outDir: "dist",
    manifest: "manifest.json",
    target: "es2022",
    chunkSizeWarningLimit: 700, // CodeMirror, which is loaded when somebody writes
    rolldownOptions: {
      input: ["src/canvas.tsx", "src/content.tsx"],
    },
  },
});
