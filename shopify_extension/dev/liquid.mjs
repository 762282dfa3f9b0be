/**
 * Shopify's Liquid as far as a theme app extension and our own small theme use it, on liquidjs: the tags
 * schema, doc and form; the filters t, asset_url, money; app blocks with their settings' defaults.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Hash, Liquid, Tag } from 'liquidjs';

const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
export const escapeHtml = (text) => String(text).replace(/[&<>"']/g, (character) => ENTITIES[character]);

/** A tag whose content is skipped, whatever it holds. */
const skippedTag = (name) =>
  class extends Tag {
    constructor(token, remaining, liquid) {
      super(token, remaining, liquid);
      for (let next = remaining.shift(); next; next = remaining.shift()) if (next.name === `end${name}`) return;
      throw new Error(`{% ${name} %} is not closed`);
    }

    *render() {}
  };

/** {% form 'product', product, id: 'x' %}: the form that themes post to the cart, with its hidden fields. */
class FormTag extends Tag {
  constructor(token, remaining, liquid) {
    super(token, remaining, liquid);
    const [type, ...rest] = token.args.split(',');
    this.type = type.trim().replace(/['"]/g, '');
    this.attributes = new Hash(rest.filter((part) => part.includes(':')).join(','));
    this.templates = [];
    const stream = liquid.parser
      .parseStream(remaining)
      .on('tag:endform', () => stream.stop())
      .on('template', (template) => this.templates.push(template))
      .on('end', () => {
        throw new Error('{% form %} is not closed');
      });
    stream.start();
  }

  *render(context, emitter) {
    const attributes = yield this.attributes.render(context);
    const written = Object.entries(attributes).map(([name, value]) => ` ${name}="${escapeHtml(value)}"`);
    const product = context.getSync(['product']);
    emitter.write(`<form method="post" action="/cart/add" accept-charset="UTF-8"${written.join('')}>`);
    emitter.write(`<input type="hidden" name="form_type" value="${escapeHtml(this.type)}">`);
    yield this.liquid.renderer.renderTemplates(this.templates, context, emitter);
    emitter.write(`<input type="hidden" name="product-id" value="${escapeHtml(product.id)}"></form>`);
  }
}

/** `folders`: where locales and snippets are looked for, the first that has a thing wins. */
export function makeLiquid({ folders, locale, assetBase = '/assets' }) {
  const liquid = new Liquid({
    root: folders,
    partials: folders.map((folder) => path.join(folder, 'snippets')),
    extname: '.liquid',
    strictFilters: true,
    ownPropertyOnly: true,
  });
  const translate = translator(folders, locale);
  for (const name of ['t', 'translate']) liquid.registerFilter(name, translate);
  liquid.registerFilter('asset_url', (file) => `${assetBase}/${file}`);
  liquid.registerFilter('money', (cents) => new Intl.NumberFormat(locale, MONEY).format(cents / 100));
  for (const name of ['schema', 'doc']) liquid.registerTag(name, skippedTag(name));
  liquid.registerTag('form', FormTag);
  return liquid;
}

const MONEY = { style: 'currency', currency: 'EUR' };

function translator(folders, locale) {
  const dictionaries = folders.map((folder) => dictionaryOf(path.join(folder, 'locales'), locale));
  const find = (key) =>
    dictionaries
      .map((words) => key.split('.').reduce((node, part) => node?.[part], words))
      .find((text) => text !== undefined);
  return (key, ...args) => {
    const values = Object.fromEntries(args.filter(Array.isArray));
    const text = find(String(key));
    if (typeof text !== 'string') return `Translation missing: ${locale}.${key}`;
    return text.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => escapeHtml(values[name] ?? ''));
  };
}

function dictionaryOf(folder, locale) {
  const files = existsSync(folder) ? readdirSync(folder) : [];
  const wanted = [`${locale}.json`, `${locale.split('-')[0]}.json`, 'en.default.json'];
  const file = wanted.find((name) => files.includes(name));
  return file ? JSON.parse(readFileSync(path.join(folder, file), 'utf8')) : {};
}

/** The JSON of a block's {% schema %}; null where there is none. */
export function readSchema(file) {
  const source = readFileSync(file, 'utf8');
  const json = /\{%-?\s*schema\s*-?%\}([\s\S]*?)\{%-?\s*endschema\s*-?%\}/.exec(source)?.[1];
  return json === undefined ? null : JSON.parse(json);
}

/**
 * One app block as Shopify renders it: in its wrapper, with the defaults of its settings, and what its
 * schema adds to the head. A block that is not available renders nothing.
 */
export async function renderAppBlock(liquid, { extension, name, scope, settings = {}, isDesignMode = false }) {
  const file = path.join(extension, 'blocks', `${name}.liquid`);
  const schema = readSchema(file);
  if (scope.app?.metafields?.tryon?.enabled?.value === false) return { html: '', head: '' };
  const defaults = schema.settings.map((setting) => [setting.id, setting.autofill ? scope.product : setting.default]);
  const block = {
    id: 'tryon',
    settings: { ...Object.fromEntries(defaults), ...settings },
    shopify_attributes: isDesignMode ? 'data-shopify-editor-block="{}"' : '',
  };
  const request = { ...scope.request, design_mode: isDesignMode };
  const body = await liquid.parseAndRender(readFileSync(file, 'utf8'), { ...scope, block, request });
  return {
    html: `<div id="shopify-block-tryon" class="shopify-block shopify-app-block">${body}</div>`,
    head:
      `<link rel="stylesheet" href="/assets/${schema.stylesheet}" media="all">` +
      `<script src="/assets/${schema.javascript}" async></script>`,
  };
}
