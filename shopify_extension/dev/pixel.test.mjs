import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';

const PIXEL = path.join(import.meta.dirname, '..', 'extensions', 'tryon-pixel');
const SOURCE = path.join(PIXEL, 'src', 'index.js');
const MAX_PIXEL_BYTES = 3000;
const [A, B] = ['0190b8f0-1111-7000-8000-000000000001', '0190b8f0-2222-7000-8000-000000000002'];
const EVENT_ID = 'sh-f778d5d1-2c65-4e43-4d9c-f2ec0a3b6a64';

/** The sandbox as Shopify documents it: no page, an asynchronous storage, one function to begin with. */
class Sandbox {
  handlers = new Map();
  stored = null;
  storage = { getItem: async () => this.stored };

  async load(settings) {
    globalThis.shopify = { extend: (point, begin) => assert.equal(point, 'WebPixel::Render') ?? (this.begin = begin) };
    await import(SOURCE);
    delete globalThis.shopify;
    const subscribe = (name, handler) => this.handlers.set(name, handler);
    this.begin({ analytics: { subscribe }, browser: { sessionStorage: this.storage }, settings, init: {} });
  }

  publish = (name, data, id = EVENT_ID) =>
    this.handlers.get(name)({ id, name, clientId: 'c', timestamp: '2026-11-21T10:00:00.000Z', data });
}

const checkout = (order, ...lines) => ({
  checkout: { order, token: 't', lineItems: lines.map((properties) => ({ quantity: 1, properties, variant: null })) },
});
const tagged = (value) => [{ key: 'Gift', value: 'yes' }, { key: '_tryon_session', value }];
const added = { cartLine: { quantity: 2, merchandise: { id: '7001001', product: { id: '7001' } } } };

describe('the pixel', () => {
  const sandbox = new Sandbox();
  const requests = [];
  const server = http.createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    requests.push({ method: request.method, headers: request.headers, body: JSON.parse(body) });
    response.writeHead(202).end();
    heard();
  });
  let heard = () => {};
  before(async () => {
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    await sandbox.load({ accountID: 'public-token', endpoint: `http://127.0.0.1:${server.address().port}/v1/events` });
  });
  beforeEach(() => {
    requests.length = 0;
    sandbox.stored = null;
    sandbox.storage.getItem = async () => sandbox.stored;
  });
  after(() => {
    server.close();
    server.closeAllConnections();
  });

  /** The events of the next request. */
  const eventsOf = async (name, data, id) => {
    const arrived = new Promise((resolve) => (heard = resolve));
    await sandbox.publish(name, data, id);
    await arrived;
    return requests.at(-1).body.events;
  };

  /** Whether nothing was sent for it: the first to arrive is what was published after it. */
  const isSilent = async (name, data) => {
    const before = requests.length;
    await sandbox.publish(name, data);
    await eventsOf('checkout_completed', checkout({ id: '9999' }, tagged(A)));
    return requests.length === before + 1;
  };

  it('listens to cart and checkout alone', () => {
    assert.deepEqual([...sandbox.handlers.keys()], ['product_added_to_cart', 'checkout_completed']);
  });

  it('says nothing where no try-on is known', async () => {
    assert.ok(await isSilent('product_added_to_cart', added));
    assert.ok(await isSilent('checkout_completed', checkout({ id: '5001' }, [], tagged('me'))));
    sandbox.stored = '"><script>';
    assert.ok(await isSilent('product_added_to_cart', added));
  });

  it('tells of an add to cart with the session that the page kept', async () => {
    sandbox.stored = A;
    const [event] = await eventsOf('product_added_to_cart', added);
    const { id, ...rest } = event;
    assert.match(id, /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
    assert.deepEqual(rest, {
      type: 'added_to_cart',
      occurred_at: '2026-11-21T10:00:00.000Z',
      session_id: A,
      metadata: { quantity: 2, product_id: '7001' },
    });
  });

  it('sends without cookie, header or preflight, under the public token', async () => {
    sandbox.stored = A;
    await eventsOf('product_added_to_cart', added);
    const [{ method, headers, body }] = requests;
    assert.equal(method, 'POST');
    assert.equal(headers['content-type'], 'text/plain');
    assert.equal(headers.cookie ?? headers.authorization, undefined);
    assert.equal(body.token, 'public-token');
    assert.ok(Math.abs(Date.parse(body.sent_at) - Date.now()) < 10_000);
  });

  it('names every session of a checkout once: of its lines, and the one that the page kept', async () => {
    sandbox.stored = B;
    const data = checkout({ id: 'gid://shopify/Order/5001' }, tagged(A), tagged(A), null, tagged(B));
    const events = await eventsOf('checkout_completed', data);
    assert.deepEqual(events.map(({ session_id }) => session_id), [A, B]);
    assert.deepEqual(events.map(({ metadata }) => metadata), [{ order_id: '5001' }, { order_id: '5001' }]);
    assert.equal(new Set(events.map(({ id }) => id)).size, 2);
  });

  it('gives an event that is published twice the same id, and another event another', async () => {
    const data = checkout({ id: '5001' }, tagged(A));
    const [first] = await eventsOf('checkout_completed', data);
    const [again] = await eventsOf('checkout_completed', data);
    const [other] = await eventsOf('checkout_completed', data, 'sh-f778d5d1-2c65-4e43-4d9c-f2ec0a3b6a65');
    assert.equal(again.id, first.id);
    assert.notEqual(other.id, first.id);
  });

  it('claims no order where Shopify names none', async () => {
    for (const order of [null, { id: null }, { id: '' }]) {
      assert.ok(await isSilent('checkout_completed', checkout(order, tagged(A))));
    }
  });

  it('does without the storage where the visitor has none', async () => {
    sandbox.storage.getItem = () => Promise.reject(new Error('SecurityError'));
    assert.equal((await eventsOf('checkout_completed', checkout({ id: '5001' }, tagged(A)))).length, 1);
  });

  it('is at most 3 kB as it lies on disk', () => {
    assert.ok(readFileSync(SOURCE).length <= MAX_PIXEL_BYTES);
  });

  it('runs in the strict sandbox, with consent to analytics alone', () => {
    const toml = readFileSync(path.join(PIXEL, 'shopify.extension.toml'), 'utf8');
    for (const line of ['runtime_context = "strict"', 'analytics = true', 'marketing = false', 'sale_of_data = "disabled"']) {
      assert.ok(toml.includes(line), line);
    }
  });
});
