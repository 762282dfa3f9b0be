/**
 * What Theme Check does not look at: the {% schema %} of a theme app extension's blocks, its translations and
 * the sizes of what a storefront loads. The form of a setting is Shopify's own (it ships with Theme Check).
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import Ajv from 'ajv';
import { readSchema } from '../liquid.mjs';

const require = createRequire(import.meta.url);
const DATA = path.join(path.dirname(require.resolve('@shopify/theme-check-docs-updater/package.json')), 'data');

const MAX_NAME = 25;
const MAX_RANGE_STEPS = 100;
/** Theme Check counts bytes on disk, the shopper's line those of gzip. */
const SCRIPT_LIMITS = { raw: 10_000, gzip: 5_000 };
const STYLE_LIMITS = { raw: 1_000, gzip: 1_000 };
const MAX_LIQUID_BYTES = 100_000;
const MAX_LOCALE_BYTES = 15_000;
const LOCALES = ['en.default', 'fr', 'de', 'es', 'it', 'ja'];
const TEMPLATES = ['article', 'blog', 'cart', 'collection', 'index', 'page', 'product', 'search', '*'];

const where = {
  type: 'object',
  additionalProperties: false,
  properties: { templates: { type: 'array', items: { enum: TEMPLATES } } },
};
const BLOCK = {
  type: 'object',
  required: ['name', 'target', 'settings'],
  additionalProperties: false,
  properties: {
    name: { type: 'string', maxLength: MAX_NAME },
    target: { enum: ['section', 'head', 'body'] },
    javascript: { type: 'string' },
    stylesheet: { type: 'string' },
    available_if: { type: 'string', pattern: '^\\{\\{\\s*app\\.metafields\\.[\\w$:.-]+\\s*\\}\\}$' },
    enabled_on: where,
    disabled_on: where,
    settings: { type: 'array', items: { type: 'object' } },
  },
  not: { required: ['enabled_on', 'disabled_on'] },
};

/** Every problem as one line; none means that the extension can be deployed. */
export function checkExtension(folder) {
  const words = readJson(path.join(folder, 'locales', 'en.default.schema.json'));
  const blocks = readdirSync(path.join(folder, 'blocks')).filter((file) => file.endsWith('.liquid'));
  return [
    ...blocks.flatMap((file) => checkBlock(folder, file, words).map((problem) => `${file}: ${problem}`)),
    ...checkLocales(path.join(folder, 'locales')),
    ...checkSizes(folder),
  ];
}

function checkBlock(folder, file, words) {
  const schema = readSchema(path.join(folder, 'blocks', file));
  if (!schema) return ['it has no schema'];
  const ajv = makeAjv();
  const named = { ...schema, name: translated(schema.name, words) ?? schema.name };
  const problems = ajv.validate(BLOCK, named) ? [] : ajv.errors.map(said);
  for (const setting of schema.settings) problems.push(...checkSetting(ajv, setting));
  const ids = schema.settings.map(({ id }) => id).filter(Boolean);
  const twice = ids.filter((id, index) => ids.indexOf(id) !== index);
  problems.push(...twice.map((id) => `the setting id ${id} stands twice`));
  for (const key of keysIn(schema)) if (!translated(key, words)) problems.push(`${key} is not translated`);
  for (const asset of [schema.javascript, schema.stylesheet]) {
    if (asset && !existsSync(path.join(folder, 'assets', asset))) problems.push(`assets/${asset} is missing`);
  }
  return problems;
}

function makeAjv() {
  const ajv = new Ajv({ strict: false, allErrors: true });
  // The general meta file repeats names that Ajv already knows; only its definitions are wanted.
  for (const name of ['default_setting_values.json', 'setting.json']) {
    const { $schema: _, $id: __, ...schema } = readJson(path.join(DATA, name));
    ajv.addSchema(schema, name);
  }
  return ajv;
}

function checkSetting(ajv, { autofill: _, ...setting }) {
  const problems = ajv.validate({ $ref: 'setting.json' }, setting) ? [] : ajv.errors.map(said);
  const { type, min, max, step = 1 } = setting;
  if (type === 'range' && (max - min) / step > MAX_RANGE_STEPS) problems.push('a range has more than 101 steps');
  return problems.map((problem) => `setting ${setting.id}: ${problem}`);
}

function checkLocales(folder) {
  const problems = [];
  for (const suffix of ['.json', '.schema.json']) {
    const wanted = pathsIn(readJson(path.join(folder, `en.default${suffix}`)));
    for (const locale of LOCALES) {
      const file = path.join(folder, `${locale}${suffix}`);
      const has = existsSync(file) ? pathsIn(readJson(file)) : [];
      const missing = wanted.filter((key) => !has.includes(key));
      const extra = has.filter((key) => !wanted.includes(key));
      problems.push(...missing.map((key) => `${locale}${suffix}: ${key} is missing`));
      problems.push(...extra.map((key) => `${locale}${suffix}: ${key} is not in English`));
      if (has.length && statSync(file).size > MAX_LOCALE_BYTES) problems.push(`${locale}${suffix}: too large`);
    }
  }
  return problems;
}

function checkSizes(folder) {
  const assets = readdirSync(path.join(folder, 'assets')).map((name) => ({
    name: `assets/${name}`,
    bytes: readFileSync(path.join(folder, 'assets', name)),
    limits: name.endsWith('.js') ? SCRIPT_LIMITS : STYLE_LIMITS,
  }));
  const liquid = ['blocks', 'snippets'].flatMap((name) => readdirSync(path.join(folder, name)).map((file) => path.join(folder, name, file)));
  const liquidBytes = liquid.reduce((sum, file) => sum + statSync(file).size, 0);
  const problems = liquidBytes > MAX_LIQUID_BYTES ? [`${liquidBytes} B of Liquid, at most ${MAX_LIQUID_BYTES}`] : [];
  for (const { name, bytes, limits } of assets) {
    const gzip = gzipSync(bytes, { level: 9 }).length;
    if (bytes.length > limits.raw) problems.push(`${name}: ${bytes.length} B, at most ${limits.raw}`);
    if (gzip > limits.gzip) problems.push(`${name}: ${gzip} B gzip, at most ${limits.gzip}`);
  }
  return problems;
}

const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'));
const said = ({ instancePath, message }) => `${instancePath} ${message}`.trim();

/** `t:a.b` to its text; undefined where there is none. */
const translated = (key, words) =>
  key.startsWith('t:') ? key.slice(2).split('.').reduce((node, part) => node?.[part], words) : key;

function keysIn(node) {
  if (typeof node === 'string') return node.startsWith('t:') ? [node] : [];
  return node && typeof node === 'object' ? Object.values(node).flatMap(keysIn) : [];
}

const pathsIn = (node, prefix = '') =>
  Object.entries(node).flatMap(([key, value]) =>
    typeof value === 'object' ? pathsIn(value, `${prefix}${key}.`) : [`${prefix}${key}`],
  );
