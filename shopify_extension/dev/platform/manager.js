/* What Shopify's own scripts do on a storefront: ask for consent, see the cart change, run pixels in their sandbox. */
(() => {
  const { Shopify } = window;
  const script = document.currentScript;
  const mayMeasure = () => /(?:^|;\s*)consent=yes/.test(document.cookie);
  Shopify.customerPrivacy = { analyticsProcessingAllowed: mayMeasure };

  let sandbox = null;
  const waiting = [];
  const publish = (name, data) => {
    const event = { id: `sh-${crypto.randomUUID()}`, name, clientId: 'sample', timestamp: new Date().toISOString(), data };
    if (sandbox) sandbox.postMessage({ event });
    else waiting.push(event);
  };

  /* Loaded with consent alone. It has no page: what it reads of the storage is fetched for it. */
  const load = () => {
    const pixel = JSON.parse(script.dataset.pixel || 'null');
    if (sandbox || !pixel || !mayMeasure()) return;
    sandbox = new Worker('/web-pixels/sandbox.js', { type: 'module' });
    sandbox.onmessage = ({ data: { id, key } }) => sandbox.postMessage({ id, value: sessionStorage.getItem(key) });
    sandbox.postMessage({ settings: pixel });
    for (const event of waiting.splice(0)) sandbox.postMessage({ event });
  };

  const choice = document.querySelector('[data-consent]');
  if (choice) choice.checked = mayMeasure();
  choice?.addEventListener('change', () => {
    document.cookie = `consent=${choice.checked ? 'yes' : 'no'}; path=/; samesite=lax`;
    load();
  });

  const send = window.fetch;
  window.fetch = async (...request) => {
    const response = await send(...request);
    if (response.ok && /\/cart\/add\.js$/.test(new URL(response.url).pathname)) {
      const { items } = await response.clone().json();
      for (const line of items) {
        const merchandise = { id: String(line.variant_id), product: { id: String(line.product_id) } };
        publish('product_added_to_cart', { cartLine: { merchandise, quantity: line.quantity } });
      }
    }
    return response;
  };

  const checkout = document.querySelector('script[data-checkout]');
  if (checkout) publish('checkout_completed', { checkout: JSON.parse(checkout.textContent) });
  load();
})();
