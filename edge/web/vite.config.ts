import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Where `npm run dev` finds an edge (`npm run mock` or a real one).
const edge = process.env["CHATCODE_EDGE"] ?? "http://localhost:4310";

export default defineConfig({
  plugins: [react()],
  // The page is embedded in the edge and loads nothing from elsewhere. No data: URLs and no inline
  // script, so that the Content-Security-Policy can stay at 'self'.
  build: {
    target: "es2022",
    outDir: "dist",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1200,
  },
  server: {
    proxy: {
      "/api/ws": { target: edge, ws: true },
      "/api": edge,
      "/chatcode.v1.": edge,
    },
  },
});
