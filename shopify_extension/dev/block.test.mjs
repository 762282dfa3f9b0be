import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import { makeLiquid, renderAppBlock } from './liquid.mjs';

const EXTENSION = path.join(import.meta.dirname, '..', 'extensions', 'tryon-theme');
const PRODUCT = {
  id: 7001,
  title: 'Tee "Nord" <b>',
  variants: [
    { id: 7001000, options: ['Chalk', 'S'], available: true },
    { id: 7001001, options: ['Chalk', `M'"`], available: false },
  ],
  selected_or_first_available_variant: { id: 7001000 },
};
const READY = { tryon: { enabled: { value: true }, r9: { value: { 7001: 1 } } } };

function render({ metafields = READY, locale = 'en', product = PRODUCT, root_url = '/', ...rest } = {}) {
  const liquid = makeLiquid({ folders: [EXTENSION], locale });
  const scope = {
    product,
    app: { metafields },
    routes: { root_url },
    request: { locale: { iso_code: locale } },
  };
  return renderAppBlock(liquid, { extension: EXTENSION, name: 'tryon_button', scope, ...rest });
}

const attribute = (html, name) =>
  new RegExp(`${name}="([^"]*)"`).exec(html)?.[1].replaceAll('&#34;', '"').replaceAll('&#39;', "'").replaceAll('&amp;', '&');

describe('the button', () => {
  it('stands on a product that is ready, with what the script needs', async () => {
    const { html } = await render();
    assert.match(html, /Find my size/);
    assert.match(html, /No account\. Photo optional\./);
    assert.equal(attribute(html, 'data-product-id'), '7001');
    assert.equal(attribute(html, 'data-variant-id'), '7001000');
    assert.equal(attribute(html, 'data-proxy'), '/apps/tryon');
    assert.deepEqual(JSON.parse(attribute(html, 'data-variants')), [
      { id: '7001000', available: true, options: ['Chalk', 'S'] },
      { id: '7001001', available: false, options: ['Chalk', `M'"`] },
    ]);
  });

  it('is not there for shoppers of a product that is not ready', async () => {
    const { html } = await render({ metafields: { tryon: { enabled: { value: true } } } });
    assert.doesNotMatch(html, /tryon-launcher|<button/);
  });

  it('is there in the editor, and says why shoppers do not see it', async () => {
    const metafields = { tryon: { enabled: { value: true } } };
    const { html } = await render({ metafields, isDesignMode: true });
    assert.match(html, /data-design-mode/);
    assert.match(html, /no size chart yet/);
  });

  it('disappears, with its files, while the app is paused', async () => {
    assert.deepEqual(await render({ metafields: { tryon: { enabled: { value: false } } } }), { html: '', head: '' });
  });

  it('speaks the language of the page', async () => {
    const { html } = await render({ locale: 'de' });
    assert.match(html, /Meine Größe finden/);
    assert.equal(attribute(html, 'data-locale'), 'de');
  });

  it('asks the renamed proxy below the root of the locale', async () => {
    const metafields = { tryon: { ...READY.tryon, config: { value: { proxy: '/community/fit' } } } };
    const { html } = await render({ metafields, root_url: '/de' });
    assert.equal(attribute(html, 'data-proxy'), '/de/community/fit');
  });

  it('writes what merchants and products say as text', async () => {
    const { html } = await render({ settings: { label: '<img src=x onerror=alert(1)>' } });
    assert.doesNotMatch(html, /<img|<b>/);
    assert.match(html, /&lt;img/);
  });
});
