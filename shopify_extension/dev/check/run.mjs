// npm run check — Theme Check (offline) and our own look at the block's schema, words and sizes.
import { createRequire } from 'node:module';
import path from 'node:path';
import { checkExtension } from './block_schema.mjs';

const require = createRequire(import.meta.url);
const { themeCheckRun } = require('@shopify/theme-check-node');

const EXTENSION = path.join(import.meta.dirname, '..', '..', 'extensions', 'tryon-theme');

const { offenses } = await themeCheckRun(EXTENSION, 'theme-check:theme-app-extension', () => {});
const problems = [
  ...offenses.map(({ check, uri, start, message }) => `${path.basename(uri)}:${start.line + 1} ${check}: ${message}`),
  ...checkExtension(EXTENSION),
];
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exit(1);
