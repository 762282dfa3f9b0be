import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    environment: "happy-dom",
    environmentOptions: { happyDOM: { url: "https://embed.example/embed?k=demo" } },
    include: ["src/**/*.test.ts"],
    unstubGlobals: true,
  },
});
