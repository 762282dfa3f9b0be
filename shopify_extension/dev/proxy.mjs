/** The app proxy: what Shopify does between a shopper's browser and the app's server. */
import { createHmac } from 'node:crypto';

const ANSWER_WITHIN_MS = 10_000;

/**
 * The query that reaches the app: the shopper's own, what Shopify adds, and a signature over all of it.
 * `key=a,b` for each parameter, sorted, joined with nothing, HMAC-SHA256 in hex under the app's secret.
 */
export function signQuery(search, { shop, pathPrefix, customerId = '' }, secret, nowS) {
  const query = new URLSearchParams(search);
  query.append('shop', shop);
  query.append('logged_in_customer_id', customerId);
  query.append('path_prefix', pathPrefix);
  query.append('timestamp', String(nowS));
  const names = [...new Set(query.keys())];
  const signed = names.map((name) => `${name}=${query.getAll(name).join(',')}`).sort().join('');
  query.append('signature', createHmac('sha256', secret).update(signed).digest('hex'));
  return query.toString();
}

/** Forwards one request; cookies pass in neither direction, and neither side learns of the other's. */
export async function forward(request, { origin, path, query, body, send = fetch }) {
  const headers = { accept: request.headers.accept ?? '*/*' };
  if (request.headers['content-type']) headers['content-type'] = request.headers['content-type'];
  const response = await send(`${origin}${path}?${query}`, {
    method: request.method,
    headers,
    body: body || undefined,
    redirect: 'manual',
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  });
  const passed = ['content-type', 'cache-control', 'retry-after'].filter((name) => response.headers.has(name));
  return {
    status: response.status,
    headers: Object.fromEntries(passed.map((name) => [name, response.headers.get(name)])),
    body: await response.text(),
  };
}
