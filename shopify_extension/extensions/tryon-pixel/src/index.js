// @ts-check
/* Tells TryOn of cart and checkout where a try-on is known. What it says can be forged: it is never revenue. */
import { register } from '@shopify/web-pixels-extension';

const PROPERTY = '_tryon_session';
const STORED = 'tryon:session';
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;

/** @param {string | null | undefined} id a number or a GID */
const numeric = (id) => /\d{1,16}$/.exec(id ?? '')?.[0];

/** The same for the same event and session, so that an event sent twice counts once.
 * @param {string} event @param {string} session */
const idOf = (event, session) => {
  const [a, b] = [event, session].map((id) => id.replace(/[^\da-f]/gi, '').padStart(32, '0').slice(-32));
  const hex = Array.from(a ?? '', (digit, i) => (parseInt(digit, 16) ^ parseInt(b?.[i] ?? '0', 16)).toString(16)).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
};

register(({ analytics, browser, settings }) => {
  const stored = () => browser.sessionStorage.getItem(STORED).catch(() => null);

  /** @param {string} type @param {{ id: string, timestamp: string }} event
   * @param {(string | null | undefined)[]} named @param {Record<string, unknown>} metadata */
  const send = (type, { id, timestamp }, named, metadata) => {
    const sessions = new Set(named.filter((session) => session && UUID.test(session)));
    if (sessions.size === 0) return;
    const events = [...sessions].map((session) => {
      const session_id = String(session);
      return { id: idOf(id, session_id), type, occurred_at: timestamp, session_id, metadata };
    });
    // text/plain needs no preflight; keepalive outlives the page.
    fetch(settings.endpoint, {
      method: 'POST',
      keepalive: true,
      credentials: 'omit',
      headers: { 'content-type': 'text/plain' },
      body: JSON.stringify({ token: settings.accountID, sent_at: new Date().toISOString(), events }),
    }).catch(() => {});
  };

  // This event carries no line properties.
  analytics.subscribe('product_added_to_cart', async (event) => {
    const line = event.data.cartLine;
    const product_id = numeric(line?.merchandise.product.id);
    if (line) send('added_to_cart', event, [await stored()], { quantity: line.quantity, product_id });
  });

  analytics.subscribe('checkout_completed', async (event) => {
    const { order, lineItems } = event.data.checkout;
    const order_id = numeric(order?.id);
    const tagged = lineItems.map((line) => line.properties?.find(({ key }) => key === PROPERTY)?.value);
    if (order_id) send('checkout_linked', event, [...tagged, await stored()], { order_id });
  });
});
