/**
 * A small shop on one loopback port that renders the real theme block through Liquid and stands in for what
 * Shopify does around it: Ajax cart, app proxy, pixels, checkout. For the demo and the browser tests.
 *
 *   TRYON_API_KEY=… SHOPIFY_CLIENT_SECRET=… node dev/storefront.mjs --port 8200 --backend http://127.0.0.1:8000 \
 *     --shopify http://127.0.0.1:8003 --shop nordlys-supply.myshopify.com
 */
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { makeBackend } from './backend.mjs';
import { addLines, Carts, cartView } from './cart.mjs';
import { checkoutOf, Orders } from './checkout.mjs';
import { makeLiquid, renderAppBlock } from './liquid.mjs';
import { platformScript } from './platform.mjs';
import { forward, signQuery } from './proxy.mjs';
import { appMetafields, makeShopify } from './shopify.mjs';

const SHOP_NAME = 'Nordlys Supply';
const EXTENSION = path.join(import.meta.dirname, '..', 'extensions', 'tryon-theme');
const THEME = path.join(import.meta.dirname, 'theme');
const ASSETS = [path.join(EXTENSION, 'assets'), path.join(THEME, 'assets')];
const TYPES = { '.css': 'text/css', '.js': 'text/javascript' };
const MAX_BODY_BYTES = 100_000;
/** Where merchants find it unless they rename it. */
const PROXY_PATH = '/apps/tryon';
const CART_COOKIE = /(?:^|;\s*)cart=([\w-]{36})/;

/**
 * `backend` answers `products()`, `shopify` what shopify.mjs says; `app` is `{origin, shop, secret}`: where the app
 * lives, whose storefront this is, and what the proxy signs with.
 */
export function makeStorefront(backend, shopify, app) {
  const shared = { backend, shopify, app, carts: new Carts(), orders: new Orders() };
  const server = http.createServer(async (request, response) => {
    try {
      await route({ ...shared, request, response, origin: `http://${request.headers.host}` });
    } catch (error) {
      console.error(error);
      if (!response.headersSent) sendJson(response, 500, { message: 'The sample shop failed; see its log.' });
    }
  });
  return server;
}

async function route(call) {
  const { request, response } = call;
  const url = new URL(request.url ?? '/', call.origin);
  const token = cartToken(call);
  const view = { ...call, url, token, cart: call.carts.of(token) };
  const [, first = '', second] = url.pathname.split('/');
  const path = first === 'apps' ? PROXY_PATH : second && !NAMED.has(first) ? `/${first}/${second}` : `/${first}`;
  const handler = ROUTES[`${request.method} ${path}`];
  if (handler) await handler(view, second);
  else sendJson(response, 404, { message: 'There is no such page.' });
}

/** Their second part is a name, not a place. */
const NAMED = new Set(['products', 'assets', 'orders', 'web-pixels']);

const ROUTES = {
  'GET /': showIndex,
  'GET /products': showProduct,
  'GET /cart': showCart,
  'GET /assets': sendAsset,
  'GET /cart.js': ({ response, cart }) => sendJson(response, 200, cartView(cart)),
  'POST /cart/add.js': addByAjax,
  'POST /cart/add': addByForm,
  'POST /cart/change': removeLine,
  'POST /checkout': placeOrder,
  'GET /orders': showOrder,
  'POST /orders': refundOrder,
  'GET /web-pixels': sendPlatformScript,
  [`GET ${PROXY_PATH}`]: askApp,
  [`POST ${PROXY_PATH}`]: askApp,
};

async function showIndex(view) {
  const products = await view.backend.products();
  await render(view, 'index', { products, page_title: 'All clothes' });
}

async function showProduct(view, handle) {
  const products = await view.backend.products();
  const found = products.find((product) => product.handle === handle);
  if (!found) return showMissing(view, 'This product is not here.');
  const wanted = found.variants.find(({ id }) => String(id) === view.url.searchParams.get('variant'));
  const product = wanted ? { ...found, selected_or_first_available_variant: wanted } : found;
  const isDesignMode = view.url.searchParams.has('design');
  await view.shopify.enter(products);
  const app = { metafields: appMetafields(await view.shopify.state()) };
  const scope = { ...scopeOf(view), product, closest: { product }, app };
  const liquid = makeLiquid({ folders: [EXTENSION, THEME], locale: localeOf(view) });
  const block = await renderAppBlock(liquid, { extension: EXTENSION, name: 'tryon_button', scope, isDesignMode });
  const page = { ...scope, page_title: product.title, app_block: block.html, app_head: block.head };
  await render(view, 'product', page);
}

async function showCart(view) {
  await render(view, 'cart', { page_title: 'Cart' });
}

async function showMissing(view, reason) {
  await render(view, 'missing', { page_title: 'Not found', reason }, 404);
}

async function addByAjax({ request, response, backend, cart }) {
  const { items } = JSON.parse(await readBody(request));
  const lines = addLines(cart, await backend.products(), items);
  if (lines) sendJson(response, 200, { items: lines });
  else sendJson(response, 422, { status: 422, message: 'Cart Error', description: 'It is sold out.' });
}

async function addByForm({ request, response, backend, cart }) {
  const form = new URLSearchParams(await readBody(request));
  const named = [...form].map(([name, value]) => [/^properties\[(.+)\]$/.exec(name)?.[1], value]);
  const properties = Object.fromEntries(named.filter(([name]) => name));
  addLines(cart, await backend.products(), [{ id: form.get('id'), quantity: 1, properties }]);
  redirect(response, '/cart');
}

async function removeLine({ request, response, cart }) {
  const key = new URLSearchParams(await readBody(request)).get('key');
  const at = cart.findIndex((line) => line.key === key);
  if (at >= 0) cart.splice(at, 1);
  redirect(response, '/cart');
}

/** The app proxy: the store's own address, answered by the app, which knows by the signature whose store it is. */
async function askApp({ request, response, url, app }) {
  if (!url.pathname.startsWith(`${PROXY_PATH}/`)) return sendJson(response, 404, {});
  const query = signQuery(url.search, { shop: app.shop, pathPrefix: PROXY_PATH }, app.secret, Math.floor(Date.now() / 1000));
  const path = `/proxy${url.pathname.slice(PROXY_PATH.length)}`;
  const body = await readBody(request);
  try {
    const answer = await forward(request, { origin: app.origin, path, query, body });
    response.writeHead(answer.status, answer.headers).end(answer.body);
  } catch (error) {
    console.error(error);
    sendJson(response, 502, { message: 'The app does not answer.' });
  }
}

async function placeOrder({ response, token, cart, orders, shopify }) {
  if (cart.length === 0) return redirect(response, '/cart');
  redirect(response, `/orders/${await orders.place(token, cart, shopify)}`);
}

async function showOrder(view, id) {
  const order = view.orders.of(view.token, id);
  if (!order) return showMissing(view, 'This order is not yours, or the shop was started anew.');
  const checkout = JSON.stringify(checkoutOf(order)).replaceAll('<', '\\u003c');
  await render(view, 'order', { page_title: 'Thank you', order, checkout });
}

async function refundOrder({ response, token, orders, shopify }, id) {
  const order = orders.of(token, id);
  if (order && !order.is_refunded) {
    await shopify.refund(order.id);
    order.is_refunded = true;
  }
  redirect(response, order ? `/orders/${id}` : '/cart');
}

function sendPlatformScript({ response }, name) {
  const script = platformScript(name);
  if (script === undefined) return sendJson(response, 404, { message: 'There is no such file.' });
  response.writeHead(200, { 'content-type': 'text/javascript; charset=utf-8', 'cache-control': 'no-cache' }).end(script);
}

function sendAsset({ response }, name = '') {
  const file = ASSETS.map((folder) => path.join(folder, path.basename(name))).find((candidate) => existsSync(candidate));
  const type = TYPES[path.extname(name)];
  if (!file || !type) return sendJson(response, 404, { message: 'There is no such file.' });
  response.writeHead(200, { 'content-type': `${type}; charset=utf-8`, 'cache-control': 'no-cache' });
  response.end(readFileSync(file));
}

async function render(view, template, scope, status = 200) {
  const liquid = makeLiquid({ folders: [EXTENSION, THEME], locale: localeOf(view) });
  const { pixel } = await view.shopify.state();
  const whole = { ...scopeOf(view), pixel_settings: pixel ? settingsOf(pixel) : null, ...scope };
  const content = await liquid.parseAndRender(readTheme(`templates/${template}.liquid`), whole);
  const html = await liquid.parseAndRender(readTheme('layout.liquid'), { ...whole, content });
  view.response.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
  view.response.end(html);
}

/** Shopify keeps them as JSON text. */
const settingsOf = ({ settings }) => (typeof settings === 'string' ? settings : JSON.stringify(settings));

const readTheme = (file) => readFileSync(path.join(THEME, file), 'utf8');

function scopeOf(view) {
  const design_mode = view.url.searchParams.has('design');
  return {
    shop: { name: SHOP_NAME },
    routes: { root_url: '/', cart_add_url: '/cart/add' },
    request: { locale: { iso_code: localeOf(view) }, design_mode },
    cart: cartView(view.cart),
  };
}

function localeOf({ url }) {
  const wanted = url.searchParams.get('locale') ?? '';
  return /^[a-z]{2}(-[A-Z]{2})?$/.test(wanted) ? wanted : 'en';
}

function cartToken({ request, response }) {
  const known = CART_COOKIE.exec(request.headers.cookie ?? '')?.[1];
  const token = known ?? randomUUID();
  if (!known) response.setHeader('set-cookie', `cart=${token}; Path=/; HttpOnly; SameSite=Lax`);
  return token;
}

async function readBody(request) {
  let body = '';
  for await (const chunk of request) {
    body += chunk;
    if (body.length > MAX_BODY_BYTES) throw new Error('The request is too large.');
  }
  return body;
}

function sendJson(response, status, body, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

function redirect(response, to) {
  response.writeHead(303, { location: to });
  response.end();
}

function main() {
  const text = { type: 'string' };
  const { values } = parseArgs({ options: { port: text, backend: text, shopify: text, shop: text } });
  const port = Number(values.port ?? process.env.PORT ?? 8200);
  const { TRYON_API_KEY: apiKey, SHOPIFY_CLIENT_SECRET: secret } = process.env;
  if (!apiKey || !secret || !values.shopify || !values.shop) {
    console.error('Set TRYON_API_KEY and SHOPIFY_CLIENT_SECRET, and say --shopify and --shop; `tryon demo` does.');
    process.exit(2);
  }
  const origin = values.backend ?? 'http://127.0.0.1:8000';
  const shopify = makeShopify(values.shopify, values.shop);
  const server = makeStorefront(makeBackend(origin, apiKey), shopify, { origin, shop: values.shop, secret });
  server.on('error', (error) => {
    console.error(`The sample shop cannot listen on port ${port}: ${error.message}`);
    process.exit(1);
  });
  server.listen(port, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${port}`));
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => server.close(() => process.exit(0)).closeAllConnections());
}

if (process.argv[1] === import.meta.filename) main();
