import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { forward, signQuery } from './proxy.mjs';

const SHOP = { shop: 'shop-name.myshopify.com', pathPrefix: '/apps/awesome_reviews' };

describe('the app proxy', () => {
  it("signs as Shopify's documented example", () => {
    const query = new URLSearchParams(signQuery('extra=1&extra=2', { ...SHOP, customerId: '1' }, 'hush', 1317327555));
    assert.equal(query.get('signature'), '4c68c8624d737112c91818c11017d24d334b524cb5c2b8ba08daa056f7395ddb');
  });

  it('leaves what the shopper sends in place, a second shop included', () => {
    const query = new URLSearchParams(signQuery('shop=evil.myshopify.com&n=1', SHOP, 'hush', 1));
    assert.deepEqual(query.getAll('shop'), ['evil.myshopify.com', SHOP.shop]);
    assert.equal(query.get('n'), '1');
  });

  it('passes no cookie in either direction', async () => {
    let sent;
    const send = async (address, init) => {
      sent = { address, ...init };
      return new Response('{}', { headers: { 'set-cookie': 'a=1', 'x-secret': '1', 'cache-control': 'no-store' } });
    };
    const request = { method: 'POST', headers: { cookie: 'cart=1', authorization: 'Bearer x', accept: 'application/json' } };
    const answer = await forward(request, { origin: 'https://app.example', path: '/proxy/session', query: 'a=1', send });
    assert.equal(sent.address, 'https://app.example/proxy/session?a=1');
    assert.deepEqual(sent.headers, { accept: 'application/json' });
    assert.equal(sent.method, 'POST');
    assert.deepEqual(Object.keys(answer.headers).sort(), ['cache-control', 'content-type']);
  });
});
