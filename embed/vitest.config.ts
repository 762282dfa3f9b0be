import { defineConfig } from "vitest/config";

export default defineConfig({
  // One test reads the limits that the server judges by.
  server: { fs: { allow: [".."] } },
  test: {
    environment: "happy-dom",
    environmentOptions: { happyDOM: { url: "https://embed.example/embed?k=demo" } },
    include: ["src/**/*.test.ts"],
    unstubGlobals: true,
  },
});
