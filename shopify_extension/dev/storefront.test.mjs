import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { makeBackend } from './backend.mjs';
import { makeStorefront } from './storefront.mjs';

const GARMENT = {
  id: 'g1',
  name: 'Organic Cotton Tee',
  category: 't-shirt',
  shopify_product_id: 7001,
  size_chart: { unit: 'cm', measures: 'garment', sizes: { S: { chest: 96 }, M: { chest: 102 }, L: { chest: 108 } } },
};
const HIDDEN = { ...GARMENT, id: 'g2', shopify_product_id: null };

/** TryOn as the shop's server sees it. */
class Tryon {
  requests = [];
  tokenAnswer = () => Response.json({ src: 'http://127.0.0.1:1/embed?k=e#c=code', code: 'code', expires_at: 'soon' });

  send = async (address, { method = 'GET', headers, body }) => {
    const { pathname, search } = new URL(address);
    this.requests.push({ method, path: pathname + search, key: headers.authorization, body: body && JSON.parse(body) });
    if (pathname === '/v1/shopper-tokens') return this.tokenAnswer();
    const isSecond = search.includes('cursor=next');
    return Response.json({ items: [isSecond ? HIDDEN : GARMENT], next_cursor: isSecond ? null : 'next' });
  };
}

describe('the sample shop', () => {
  const tryon = new Tryon();
  const server = makeStorefront(makeBackend('http://tryon.example', 'secret-key', tryon.send));
  let origin;
  before(async () => {
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    origin = `http://127.0.0.1:${server.address().port}`;
  });
  after(() => {
    server.close();
    server.closeAllConnections();
  });

  const read = async (path, init) => (await fetch(origin + path, init)).text();
  /** A shopper, by the cookie of their cart. */
  const shopper = async () => {
    const cookie = (await fetch(`${origin}/cart.js`)).headers.get('set-cookie').split(';')[0];
    const headers = { cookie, 'content-type': 'application/json' };
    return {
      cart: async () => (await fetch(`${origin}/cart.js`, { headers })).json(),
      page: async () => (await fetch(`${origin}/cart`, { headers })).text(),
      add: (items) => fetch(`${origin}/cart/add.js`, { method: 'POST', headers, body: JSON.stringify({ items }) }),
      submit: (fields) =>
        fetch(`${origin}/cart/add`, { method: 'POST', headers: { cookie }, body: new URLSearchParams(fields) }),
    };
  };

  it('lists what is for sale, over all pages of the list', async () => {
    const page = await read('/');
    assert.equal(page.match(/class="tile"/g).length, 1);
    assert.match(page, /Organic Cotton Tee/);
  });

  it('renders the real block on the product page and nothing of it elsewhere', async () => {
    assert.match(await read('/products/organic-cotton-tee'), /<tryon-launcher/);
    assert.match(await read('/products/organic-cotton-tee?locale=fr'), /Trouver ma taille/);
    assert.doesNotMatch(await read('/'), /tryon/);
  });

  it('never lets the brand key out', async () => {
    const pages = await Promise.all(['/', '/products/organic-cotton-tee', '/cart'].map((path) => read(path)));
    const answer = await read('/apps/tryon/session?origin=x', { method: 'POST' });
    for (const text of [...pages, answer]) assert.doesNotMatch(text, /secret-key/);
    assert.equal(tryon.requests.at(-1).key, 'Bearer secret-key');
  });

  it('opens the frame through its own proxy, by POST alone', async () => {
    const path = `/apps/tryon/session?product_id=7001&variant_id=1&locale=en&origin=${encodeURIComponent(origin)}&n=1`;
    const response = await fetch(origin + path, { method: 'POST' });
    assert.equal(response.headers.get('cache-control'), 'no-store');
    assert.deepEqual(await response.json(), { src: 'http://127.0.0.1:1/embed?k=e#c=code', expires_at: 'soon' });
    assert.deepEqual(tryon.requests.at(-1).body, { origin });
    assert.equal((await fetch(origin + path)).status, 404);
  });

  it('passes a refusal on without its details', async () => {
    tryon.tokenAnswer = () => Response.json({ code: 'origin_not_allowed', detail: 'secret' }, { status: 403 });
    const response = await fetch(`${origin}/apps/tryon/session?origin=x`, { method: 'POST' });
    assert.equal(response.status, 403);
    assert.deepEqual(await response.json(), { code: 'origin_not_allowed' });
    tryon.tokenAnswer = () => Promise.reject(new TypeError('down'));
    assert.equal((await fetch(`${origin}/apps/tryon/session`, { method: 'POST' })).status, 503);
  });

  it('keeps line properties, hides those with an underscore, and joins equal lines', async () => {
    const { add, cart, page } = await shopper();
    const line = { id: 7001001, quantity: 1, properties: { _tryon_session: 's1', Gift: 'yes' } };
    assert.equal((await add([line])).status, 200);
    await add([line, { id: 7001001 }]);
    const { items, item_count } = await cart();
    assert.deepEqual(items.map(({ quantity, properties }) => [quantity, properties._tryon_session]), [[2, 's1'], [1, undefined]]);
    assert.equal(item_count, 3);
    assert.match(await page(), /Gift: yes/);
    assert.doesNotMatch(await page(), /<span>_tryon_session/);
  });

  it('takes the property of the theme form too', async () => {
    const { submit, cart } = await shopper();
    await submit({ id: '7001000', 'properties[_tryon_session]': 's2' });
    assert.equal((await cart()).items[0].properties._tryon_session, 's2');
  });

  it('refuses what is sold out or unknown with 422, and adds none of it', async () => {
    const { add, cart } = await shopper();
    for (const id of [7001102, 1]) assert.equal((await add([{ id: 7001000 }, { id }])).status, 422);
    assert.equal((await cart()).item_count, 0);
  });

  it('serves its files by name and nothing beside them', async () => {
    assert.equal((await fetch(`${origin}/assets/tryon.js`)).headers.get('content-type'), 'text/javascript; charset=utf-8');
    for (const path of ['/assets/..%2f..%2fpackage.json', '/assets/package.json', '/assets/', '/nothing']) {
      assert.equal((await fetch(origin + path)).status, 404);
    }
  });
});
