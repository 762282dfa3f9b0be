import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import http from 'node:http';
import { after, before, describe, it } from 'node:test';
import { makeBackend } from './backend.mjs';
import { makeShopify } from './shopify.mjs';
import { makeStorefront } from './storefront.mjs';

const GARMENT = {
  id: 'g1',
  name: 'Organic Cotton Tee',
  category: 't-shirt',
  shopify_product_id: 7001,
  size_chart: { unit: 'cm', measures: 'garment', sizes: { S: { chest: 96 }, M: { chest: 102 }, L: { chest: 108 } } },
};
const HIDDEN = { ...GARMENT, id: 'g2', shopify_product_id: null };

const SECRET = 'client-secret';
const SHOP = 'nordlys-supply.myshopify.com';
const PIXEL = { accountID: 'public-token', endpoint: 'http://tryon.example/v1/events' };

/** TryOn and Shopify as the shop's server sees them. */
class World {
  requests = [];
  state = { products: [], app_metafields: { 'tryon.enabled': true, 'tryon.config': { proxy: '/apps/tryon' }, 'tryon.r9': { 7001: 1 } }, pixel: null };

  send = async (address, { method = 'GET', headers, body } = {}) => {
    const { pathname, search } = new URL(address);
    this.requests.push({ method, path: pathname, search, key: headers?.authorization, body: body && JSON.parse(body) });
    if (pathname === '/v1/garments') {
      const isSecond = search.includes('cursor=next');
      return Response.json({ items: [isSecond ? HIDDEN : GARMENT], next_cursor: isSecond ? null : 'next' });
    }
    return Response.json(pathname.endsWith('/orders') ? { order_id: 5001 } : this.state);
  };

  said = (path) => this.requests.filter((request) => request.path === path);
}

/** The app behind the proxy: it says what reached it. */
async function listenAsApp() {
  const server = http.createServer((request, response) => {
    response.writeHead(409, { 'content-type': 'application/problem+json', 'cache-control': 'no-store', 'set-cookie': 'a=1' });
    response.end(JSON.stringify({ code: 'not_ready', url: request.url, cookie: request.headers.cookie ?? null }));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

describe('the sample shop', () => {
  const world = new World();
  let app, server, origin;
  before(async () => {
    app = await listenAsApp();
    const shopify = makeShopify('http://shopify.example', SHOP, world.send);
    const backend = makeBackend('http://tryon.example', 'secret-key', world.send);
    server = makeStorefront(backend, shopify, { origin: `http://127.0.0.1:${app.address().port}`, shop: SHOP, secret: SECRET });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    origin = `http://127.0.0.1:${server.address().port}`;
  });
  after(() => {
    for (const each of [server, app]) {
      each.close();
      each.closeAllConnections();
    }
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
      send: (path) => fetch(origin + path, { method: 'POST', headers: { cookie } }),
      read: async (path) => (await fetch(origin + path, { headers: { cookie } })).text(),
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

  it('shows the block only where Shopify keeps the product as ready', async () => {
    world.state.app_metafields['tryon.r9'] = {};
    await new Promise((resolve) => setTimeout(resolve, 600));
    assert.doesNotMatch(await read('/products/organic-cotton-tee'), /<tryon-launcher/);
    world.state.app_metafields['tryon.r9'] = { 7001: 1 };
    await new Promise((resolve) => setTimeout(resolve, 600));
    assert.match(await read('/products/organic-cotton-tee'), /<tryon-launcher/);
  });

  it('enters its catalogue with Shopify', async () => {
    await read('/products/organic-cotton-tee');
    const [{ body }] = world.said(`/_/shops/${SHOP}`).filter(({ method }) => method === 'POST');
    assert.deepEqual(body.products, [
      { product_id: 7001, title: 'Organic Cotton Tee', product_type: 't-shirt', options: { Colour: ['Chalk', 'Moss'], Size: ['S', 'M', 'L'] } },
    ]);
  });

  it('never lets a key out', async () => {
    const pages = await Promise.all(['/', '/products/organic-cotton-tee', '/cart'].map((path) => read(path)));
    const answer = await read('/apps/tryon/session?origin=x', { method: 'POST' });
    for (const text of [...pages, answer]) assert.doesNotMatch(text, /secret-key|client-secret/);
    assert.equal(world.said('/v1/garments')[0].key, 'Bearer secret-key');
  });

  it('passes what is asked below the proxy on to the app, signed, and the answer back without cookies', async () => {
    const path = `/apps/tryon/session?product_id=7001&origin=${encodeURIComponent(origin)}&n=1`;
    const response = await fetch(origin + path, { method: 'POST', headers: { cookie: 'cart=0190b8f0-1111-7000-8000-000000000001' } });
    assert.equal(response.status, 409);
    assert.equal(response.headers.get('cache-control'), 'no-store');
    assert.equal(response.headers.get('set-cookie'), null);
    const { url, cookie } = await response.json();
    assert.equal(cookie, null);
    const asked = new URL(url, 'http://app');
    assert.equal(asked.pathname, '/proxy/session');
    const query = Object.fromEntries(asked.searchParams);
    assert.equal(query.shop, SHOP);
    assert.equal(query.origin, origin);
    const { signature, ...signed } = query;
    const text = Object.entries(signed).map(([name, value]) => `${name}=${value}`).sort().join('');
    assert.equal(signature, createHmac('sha256', SECRET).update(text).digest('hex'));
    assert.ok(Math.abs(Number(query.timestamp) - Date.now() / 1000) < 5);
    assert.equal((await fetch(`${origin}/apps/other`)).status, 404);
  });

  it('places an order once and shows it to its shopper alone', async () => {
    const one = await shopper();
    await one.add([{ id: 7001001, quantity: 2, properties: { _tryon_session: 's1' } }]);
    await one.send('/checkout');
    const [{ body }] = world.said(`/_/shops/${SHOP}/orders`);
    assert.deepEqual(body.lines, [
      { product_id: 7001, variant_id: 7001001, quantity: 2, price: '29.00', properties: { _tryon_session: 's1' }, title: 'Organic Cotton Tee', variant_title: 'Chalk / M' },
    ]);
    await one.send('/checkout');
    assert.equal(world.said(`/_/shops/${SHOP}/orders`).length, 1);
    const page = await one.read('/orders/5001');
    const checkout = JSON.parse(/data-checkout>([\s\S]*?)<\/script>/.exec(page)[1]);
    assert.equal(checkout.order.id, 'gid://shopify/Order/5001');
    assert.deepEqual(checkout.lineItems[0].properties, [{ key: '_tryon_session', value: 's1' }]);
    assert.match(await (await shopper()).read('/orders/5001'), /not yours/);
  });

  it('pays an order back once', async () => {
    const one = await shopper();
    await one.add([{ id: 7001001 }]);
    await one.send('/checkout');
    await one.send('/orders/5001');
    await one.send('/orders/5001');
    assert.deepEqual(world.said(`/_/shops/${SHOP}/refunds`).map(({ body }) => body), [{ order_id: 5001 }]);
  });

  it('hands the pixel its settings once there are any', async () => {
    assert.match(await read('/cart'), /data-pixel=""/);
    world.state.pixel = { settings: JSON.stringify(PIXEL) };
    await new Promise((resolve) => setTimeout(resolve, 600));
    assert.match(await read('/cart'), /data-pixel="\{&#34;accountID&#34;:&#34;public-token&#34;/);
    const source = await read('/web-pixels/tryon-pixel.js');
    assert.match(source, /from '\/web-pixels\/register\.js'/);
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
    for (const id of [7001005, 1]) assert.equal((await add([{ id: 7001000 }, { id }])).status, 422);
    assert.equal((await cart()).item_count, 0);
  });

  it('serves its files by name and nothing beside them', async () => {
    assert.equal((await fetch(`${origin}/assets/tryon.js`)).headers.get('content-type'), 'text/javascript; charset=utf-8');
    for (const path of ['/web-pixels/..%2fproxy.mjs', '/assets/..%2f..%2fpackage.json', '/assets/package.json', '/assets/', '/nothing']) {
      assert.equal((await fetch(origin + path)).status, 404);
    }
  });
});
