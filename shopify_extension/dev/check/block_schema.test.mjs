import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { checkExtension } from './block_schema.mjs';

const EXTENSION = path.join(import.meta.dirname, '..', '..', 'extensions', 'tryon-theme');
const BLOCK = 'blocks/tryon_button.liquid';
const folders = [];
const noise = (bytes) => randomBytes(bytes).toString('base64');

/** Problems of a copy in which one text of one file was replaced. */
function problemsAfter(file, from, to) {
  const folder = mkdtempSync(path.join(tmpdir(), 'block-'));
  folders.push(folder);
  cpSync(EXTENSION, folder, { recursive: true });
  const before = readFileSync(path.join(folder, file), 'utf8');
  assert.ok(before.includes(from), `${file} holds ${from}`);
  writeFileSync(path.join(folder, file), before.replace(from, to));
  return checkExtension(folder).join('\n');
}

describe('the check of the block', () => {
  after(() => folders.forEach((folder) => rmSync(folder, { recursive: true })));

  it('has nothing to say about the real one', () => {
    assert.deepEqual(checkExtension(EXTENSION), []);
  });

  for (const [what, file, from, to, said] of [
    ['a key that Shopify does not know', BLOCK, '"target": "section",', '"target": "section", "templates": [],', /additional properties/],
    ['a block name that is too long', 'locales/en.default.schema.json', '"Size finder"', '"A finder of sizes for everybody"', /25 characters/],
    ['an unknown type of setting', BLOCK, '"type": "checkbox"', '"type": "tickbox"', /setting show_privacy/],
    ['a range with too many steps', BLOCK, '"max": 40, "step": 2', '"max": 400, "step": 2', /101 steps/],
    ['an id that stands twice', BLOCK, '"id": "style"', '"id": "label"', /label stands twice/],
    ['a label without translation', BLOCK, 't:tryon.block.radius', 't:tryon.block.corner', /corner is not translated/],
    ['a file that is missing', BLOCK, '"javascript": "tryon.js"', '"javascript": "other.js"', /other\.js is missing/],
    ['a locale with a missing word', 'locales/ja.json', '"close"', '"shut"', /ja\.json: tryon\.dialog\.close is missing/],
    ['a script that is too large', 'assets/tryon.js', '(() => {', `/*${'x'.repeat(10_000)}*/(() => {`, /tryon\.js: \d+ B, at most 10000/],
    ['a script that hardly compresses', 'assets/tryon.js', '(() => {', `/*${noise(4000)}*/(() => {`, /tryon\.js: \d+ B gzip, at most 5000/],
    ['a style that is too large', 'assets/tryon.css', '.tryon{', `/*${'x'.repeat(100)}*/.tryon{`, /tryon\.css: \d+ B, at most 1000/],
    ['more Liquid than Shopify takes', 'snippets/tryon_icon.liquid', '<svg', `${' '.repeat(100_000)}<svg`, /B of Liquid/],
  ]) {
    it(`sees ${what}`, () => assert.match(problemsAfter(file, from, to), said));
  }
});
