import { makeProducts } from './catalogue.mjs';

/** Garments hardly change; a page view need not ask for them each time. */
const CATALOGUE_LIFETIME_MS = 5000;

/** What the shop's own server asks of TryOn, with the brand's key. */
export function makeBackend(origin, apiKey, send = fetch) {
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' };
  let known = { at: Number.NEGATIVE_INFINITY, products: [] };

  const readGarments = async () => {
    const garments = [];
    let path = '/v1/garments';
    while (path) {
      const response = await send(`${origin}${path}`, { headers });
      if (!response.ok) throw new Error(`The garments cannot be read: ${response.status}`);
      const { items, next_cursor: cursor } = await response.json();
      garments.push(...items);
      path = cursor ? `/v1/garments?cursor=${encodeURIComponent(cursor)}` : null;
    }
    return garments;
  };

  return {
    async products() {
      if (Date.now() - known.at > CATALOGUE_LIFETIME_MS) {
        known = { at: Date.now(), products: makeProducts(await readGarments()) };
      }
      return known.products;
    },
  };
}
