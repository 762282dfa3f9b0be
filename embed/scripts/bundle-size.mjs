// Prints the built files with their gzip sizes, and fails when one outgrows its budget.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const ASSETS = new URL("../dist/assets/", import.meta.url);
const BUDGETS_GZIP_BYTES = [
  { what: "first screen", pattern: /^index-.*\.(js|css)$/, limit: 40_000 },
  { what: "viewer", pattern: /^viewer-.*\.js$/, limit: 200_000 },
];

const sizes = readdirSync(ASSETS).map((name) => {
  const bytes = readFileSync(new URL(name, ASSETS));
  return { name, raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length };
});
for (const { name, raw, gzip } of sizes) console.log(`${name}  ${raw} B, ${gzip} B gzip`);
for (const { what, pattern, limit } of BUDGETS_GZIP_BYTES) {
  const total = sizes.filter(({ name }) => pattern.test(name)).reduce((sum, { gzip }) => sum + gzip, 0);
  if (total === 0 || total > limit) {
    console.error(`${what}: ${total} B gzip, the budget is 1 to ${limit} B`);
    process.exitCode = 1;
  }
}
