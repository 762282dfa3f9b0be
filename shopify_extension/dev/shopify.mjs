/** What the shop asks of Shopify itself, which is the stand-in of backend/demo/fake_shopify on this machine. */

const STATE_LIFETIME_MS = 500;

/** `shop`: its permanent domain. */
export function makeShopify(origin, shop, send = fetch) {
  const address = `${origin}/_/shops/${shop}`;
  let known = { at: Number.NEGATIVE_INFINITY, state: null };

  const tell = async (what, body) => {
    const response = await send(`${address}${what}`, { method: 'POST', body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`Shopify did not take it: ${response.status}`);
    return response.json();
  };

  return {
    /** `{products, app_metafields, pixel}` as Shopify keeps them now. */
    async state() {
      if (Date.now() - known.at > STATE_LIFETIME_MS) {
        const response = await send(address);
        if (!response.ok) throw new Error(`Shopify does not answer: ${response.status}`);
        known = { at: Date.now(), state: await response.json() };
      }
      return known.state;
    },

    /** The merchant's catalogue, entered once; a stand-in that was started anew has forgotten it. */
    async enter(products) {
      const { products: there } = await this.state();
      const has = new Set(there.map(({ id }) => id.split('/').pop()));
      const missing = products.filter(({ id }) => !has.has(String(id)));
      if (missing.length > 0) {
        await tell('', { products: missing.map(asEntered) });
        known.at = Number.NEGATIVE_INFINITY;
      }
    },

    /** Places an order of cart lines; Shopify tells the app of it by webhooks. */
    placeOrder: async (lines) => (await tell('/orders', { lines: lines.map(asOrdered) })).order_id,

    /** Pays everything of an order back. */
    refund: (orderId) => tell('/refunds', { order_id: orderId }),
  };
}

const asEntered = ({ id, title, category, colours, sizes }) => ({
  product_id: id,
  title,
  product_type: category,
  options: { Colour: colours, Size: sizes },
});

const asOrdered = (line) => ({
  product_id: line.product_id,
  variant_id: line.variant_id,
  quantity: line.quantity,
  price: (line.price / 100).toFixed(2),
  properties: line.properties,
  title: line.product_title,
  variant_title: line.variant_title,
});

/** The app's own metafields as Liquid sees them: `app.metafields.tryon.enabled.value`. */
export function appMetafields(state) {
  const metafields = {};
  for (const [name, value] of Object.entries(state.app_metafields)) {
    const [namespace, key] = name.split('.');
    (metafields[namespace] ??= {})[key] = { value };
  }
  return metafields;
}
