/** From a cart to an order, and back again when everything is sent back. */

/** Orders by their number, each with the token of the cart that it came from: a page shows a shopper's own alone. */
export class Orders {
  #orders = new Map();

  async place(token, cart, shopify) {
    const id = await shopify.placeOrder(cart);
    this.#orders.set(String(id), { id, token, lines: cart.splice(0) });
    return id;
  }

  of(token, id) {
    const order = this.#orders.get(String(id));
    return order?.token === token ? order : undefined;
  }
}

/** The checkout as Shopify shows it to pixels. */
export const checkoutOf = ({ id, token, lines }) => ({
  token,
  order: { id: `gid://shopify/Order/${id}`, customer: null },
  lineItems: lines.map((line) => ({
    id: line.key,
    title: line.product_title,
    quantity: line.quantity,
    properties: Object.entries(line.properties).map(([key, value]) => ({ key, value })),
    variant: { id: String(line.variant_id), product: { id: String(line.product_id) } },
  })),
});
