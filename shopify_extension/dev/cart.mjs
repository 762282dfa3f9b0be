/** Shopify's Ajax cart as far as themes use it; one cart per shopper, in memory. */

export class Carts {
  #carts = new Map();

  of(token) {
    if (!this.#carts.has(token)) this.#carts.set(token, []);
    return this.#carts.get(token);
  }
}

/** Adds `{id, quantity, properties}` lines; other properties make another line. Null: it cannot be added. */
export function addLines(cart, products, items) {
  const lines = items.map((item) => makeLine(products, item));
  if (lines.length === 0 || lines.includes(null)) return null;
  for (const line of lines) {
    const same = cart.find((other) => other.key === line.key);
    if (same) same.quantity += line.quantity;
    else cart.push(line);
  }
  return lines;
}

function makeLine(products, { id, quantity = 1, properties = {} }) {
  const product = products.find(({ variants }) => variants.some((variant) => variant.id === Number(id)));
  const variant = product?.variants.find((candidate) => candidate.id === Number(id));
  if (!variant?.available || !(Number(quantity) >= 1)) return null;
  return {
    key: `${variant.id}:${JSON.stringify(properties)}`,
    id: variant.id,
    variant_id: variant.id,
    product_id: product.id,
    product_title: product.title,
    variant_title: variant.title,
    handle: product.handle,
    category: product.category,
    colour: variant.option1,
    price: variant.price,
    quantity: Number(quantity),
    properties,
  };
}

export function cartView(cart) {
  return {
    items: cart,
    item_count: cart.reduce((sum, { quantity }) => sum + quantity, 0),
    total_price: cart.reduce((sum, { quantity, price }) => sum + quantity * price, 0),
  };
}
