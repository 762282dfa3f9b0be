/**
 * A small shop on one loopback port that renders the real theme block through Liquid and stands in for what
 * Shopify does around it: the Ajax cart and the app proxy. For the demo and the browser tests.
 *
 *   TRYON_API_KEY=… node dev/storefront.mjs --port 8200 --backend http://127.0.0.1:8000
 */
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { makeBackend } from './backend.mjs';
import { addLines, Carts, cartView } from './cart.mjs';
import { makeAppMetafields } from './catalogue.mjs';
import { makeLiquid, renderAppBlock } from './liquid.mjs';

const SHOP_NAME = 'Nordlys Supply';
const EXTENSION = path.join(import.meta.dirname, '..', 'extensions', 'tryon-theme');
const THEME = path.join(import.meta.dirname, 'theme');
const ASSETS = [path.join(EXTENSION, 'assets'), path.join(THEME, 'assets')];
const TYPES = { '.css': 'text/css', '.js': 'text/javascript' };
const MAX_BODY_BYTES = 100_000;
const CART_COOKIE = /(?:^|;\s*)cart=([\w-]{36})/;

/** `backend` answers `products()` and `openFrame(origin)`; see backend.mjs. */
export function makeStorefront(backend) {
  const carts = new Carts();
  const server = http.createServer(async (request, response) => {
    try {
      await route({ request, response, backend, carts, origin: `http://${request.headers.host}` });
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
  const cart = cartOf(call);
  const view = { ...call, url, cart };
  const [, first, second] = url.pathname.split('/');
  const key = `${request.method} /${first ?? ''}${second && first !== 'products' && first !== 'assets' ? `/${second}` : ''}`;
  const handler = ROUTES[key];
  if (handler) await handler(view, second);
  else sendJson(response, 404, { message: 'There is no such page.' });
}

const ROUTES = {
  'GET /': showIndex,
  'GET /products': showProduct,
  'GET /cart': showCart,
  'GET /assets': sendAsset,
  'GET /cart.js': ({ response, cart }) => sendJson(response, 200, cartView(cart)),
  'POST /cart/add.js': addByAjax,
  'POST /cart/add': addByForm,
  'POST /cart/change': removeLine,
  'POST /apps/tryon': openFrame,
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
  const scope = { ...scopeOf(view), product, closest: { product }, app: { metafields: makeAppMetafields(products) } };
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

/** The app proxy: the store's own address, answered by the app's server with the key that no browser sees. */
async function openFrame({ response, backend, url }) {
  if (url.pathname !== '/apps/tryon/session') return sendJson(response, 404, {});
  const { status, body } = await backend.openFrame(url.searchParams.get('origin') ?? '');
  sendJson(response, status, body, { 'cache-control': 'no-store' });
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
  const whole = { ...scopeOf(view), ...scope };
  const content = await liquid.parseAndRender(readTheme(`templates/${template}.liquid`), whole);
  const html = await liquid.parseAndRender(readTheme('layout.liquid'), { ...whole, content });
  view.response.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
  view.response.end(html);
}

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

function cartOf({ request, response, carts }) {
  const known = CART_COOKIE.exec(request.headers.cookie ?? '')?.[1];
  const token = known ?? randomUUID();
  if (!known) response.setHeader('set-cookie', `cart=${token}; Path=/; HttpOnly; SameSite=Lax`);
  return carts.of(token);
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
  const { values } = parseArgs({ options: { port: { type: 'string' }, backend: { type: 'string' } } });
  const port = Number(values.port ?? process.env.PORT ?? 8200);
  const origin = values.backend ?? process.env.TRYON_BACKEND ?? 'http://127.0.0.1:8000';
  const apiKey = process.env.TRYON_API_KEY;
  if (!apiKey) {
    console.error("Set TRYON_API_KEY to the brand's API key ('tryon brands create' prints one).");
    process.exit(2);
  }
  const server = makeStorefront(makeBackend(origin, apiKey));
  server.on('error', (error) => {
    console.error(`The sample shop cannot listen on port ${port}: ${error.message}`);
    process.exit(1);
  });
  server.listen(port, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${port}`));
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => server.close(() => process.exit(0)).closeAllConnections());
}

if (process.argv[1] === import.meta.filename) main();
