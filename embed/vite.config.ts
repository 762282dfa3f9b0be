import { defineConfig } from "vite";

// The backend serves the page at /embed and what it loads under /embed/.
export default defineConfig({
  base: "/embed/",
  build: {
    target: "es2022",
    // Every file is fetched from our own origin: the page's policy allows neither inline code nor data addresses.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 700, // kB: the viewer with three.js; scripts/bundle-size.mjs holds the real budgets
    modulePreload: { polyfill: false },
  },
});
