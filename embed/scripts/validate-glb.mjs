// node scripts/validate-glb.mjs FILE  — Khronos glTF-Validator; prints its JSON report, exits 1 when it has errors.
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { validateBytes } from "gltf-validator";

const file = process.argv[2];
if (!file) {
  console.error("usage: validate-glb.mjs FILE");
  process.exit(2);
}
const report = await validateBytes(new Uint8Array(await readFile(file)), {
  uri: basename(file),
  maxIssues: 100,
});
console.log(JSON.stringify(report, null, 2));
process.exitCode = report.issues.numErrors > 0 ? 1 : 0;
