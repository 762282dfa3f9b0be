// @ts-check
/* The size button. It asks for nothing until it is pressed. */
/** @import { CartFailure, FrameType, FromFrame, ShopMessages, ShopType } from '../../../../embed/src/protocol' */
(() => {
if (customElements.get('tryon-launcher')) return;

const PROPERTY = '_tryon_session';
const READY_WITHIN_MS = 20_000;
const FINAL = [402, 403, 409]; // refusals that trying again does not change
/** @type {Map<string, string>} by product: themes render sections anew */ const sessions = new Map();
/** @type {any} */ const page = window;
/** @type {(id: any) => any} a number or a GID */
const numeric = (id) => `${id}`.split('/').pop();
/** @param {any} text */
const isId = (text) => typeof text === 'string' && /^\d{1,16}$/.test(text) && +text < 2 ** 53;
/** @param {any} text */
const isUuid = (text) => typeof text === 'string' && /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(text);

/** The form of each message; anything else is dropped in silence.
 * @type {Record<FrameType, (message: any) => boolean>} */
const FORM = {
  'tryon:ready': () => true,
  'tryon:close': () => true,
  'tryon:renew': () => true,
  'tryon:session': ({ session }) => isUuid(session),
  'tryon:add-to-cart': ({ id, variantId, session, quantity }) =>
    isUuid(id) && isId(variantId) && isUuid(session) && Number.isInteger(quantity) && quantity > 0 && quantity <= 10,
};

class TryonLauncher extends HTMLElement {
  /** @type {HTMLDialogElement | null} */ #dialog = null;
  /** @type {HTMLIFrameElement | null} */ #frame = null;
  /** @type {HTMLInputElement | null} */ #property = null;
  #origin = '';
  #isOpening = false;
  #stop = new AbortController();
  /** @type {Set<string>} */ #answered = new Set();

  connectedCallback() {
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    // On the host: with `async` the children may not be parsed yet.
    this.addEventListener('click', (event) => {
      const target = /** @type {Element} */ (event.target);
      if (target.closest('.tryon__button')) this.open();
      else if (target === this.#dialog || target.closest('.tryon-dialog__close')) this.#dialog?.close();
    }, { signal });
    addEventListener('message', (event) => this.#receive(event), { signal });
    // Themes tell of a variant in three ways: the standard event, the form's input, the address.
    document.addEventListener('shopify:product:select', async (event) => {
      const { product, promise } = /** @type {any} */ (event);
      const id = (await Promise.resolve(promise).catch(() => null))?.variant?.id;
      if (id && numeric(product?.id) === this.dataset.productId) this.#choose(numeric(id));
      this.#tag();
    }, { signal });
    // They write the input after the change event: read it one turn later.
    document.addEventListener('change', () => setTimeout(() => this.#readPage()), { signal });
    setTimeout(() => this.#tag());
  }

  disconnectedCallback() {
    this.#stop.abort();
    this.#dialog?.remove();
    this.#dialog = this.#frame = null;
  }

  async open() {
    const dialog = (this.#dialog ??= this.#build());
    if (!dialog.open) dialog.showModal();
    this.#readPage();
    if (this.#frame) return this.#send('tryon:opened', {});
    // The editor may not frame us: it has a still picture.
    if (this.#isOpening || 'designMode' in this.dataset) return;
    this.#isOpening = true;
    this.#say('loading');
    const url = await this.#askForFrame();
    this.#isOpening = false;
    if (!(url instanceof URL)) this.#say(url);
    else if (dialog.isConnected) this.#show(dialog, url);
  }

  /* By the store's signed proxy alone; a one-use code stands in the fragment. */
  async #askForFrame() {
    const { origin } = location;
    const { proxy, productId = '', variantId = '', locale = '' } = this.dataset;
    const n = crypto.randomUUID(); // no two shoppers have the same signature
    const query = new URLSearchParams({ product_id: productId, variant_id: variantId, locale, origin, n });
    try {
      const response = await fetch(`${proxy}/session?${query}`, { method: 'POST' });
      if (response.ok) return new URL((await response.json()).src);
      return FINAL.includes(response.status) ? 'closed' : 'error';
    } catch {
      return 'error';
    }
  }

  /** @param {HTMLDialogElement} dialog @param {URL} url */
  #show(dialog, url) {
    this.#origin = url.origin;
    const frame = (this.#frame = Object.assign(document.createElement('iframe'), {
      src: url.href,
      title: dialog.getAttribute('aria-label') ?? '',
      allow: `camera ${url.origin}; fullscreen ${url.origin}`,
      referrerPolicy: 'strict-origin-when-cross-origin',
    }));
    dialog.prepend(frame);
    setTimeout(() => {
      if (this.#frame !== frame || 'ready' in dialog.dataset) return;
      frame.remove();
      this.#frame = null;
      this.#say('error');
    }, READY_WITHIN_MS);
  }

  #build() {
    this.append(this.querySelector('template')?.content.cloneNode(true) ?? '');
    const dialog = /** @type {HTMLDialogElement} */ (this.querySelector('dialog'));
    dialog.addEventListener('close', () => this.#send('tryon:closed', {}));
    return dialog;
  }

  /** @param {string} what one of the dialog's texts */
  #say(what) {
    const [line, retry] = this.querySelectorAll('.tryon-dialog__status > *');
    if (line) line.textContent = this.#dialog?.dataset[what] ?? '';
    retry?.toggleAttribute('hidden', what !== 'error');
  }

  /** @template {ShopType} T @param {T} type @param {ShopMessages[T]} fields */
  #send(type, fields) {
    if (this.#origin) this.#frame?.contentWindow?.postMessage({ v: 1, type, ...fields }, this.#origin);
  }

  /** @param {MessageEvent} event */
  #receive({ origin, source, data }) {
    if (source !== this.#frame?.contentWindow || origin !== this.#origin || data?.v !== 1) return;
    /** @type {FromFrame} */ const message = data;
    if (!Object.hasOwn(FORM, message.type) || !FORM[message.type](message)) return;
    switch (message.type) {
      case 'tryon:ready': return this.#greet();
      case 'tryon:close': return this.#dialog?.close();
      case 'tryon:session': return this.#remember(message.session);
      case 'tryon:renew': return this.#renew();
      case 'tryon:add-to-cart': return this.#addToCart(message);
    }
  }

  #greet() {
    this.#dialog?.toggleAttribute('data-ready', true);
    this.#say('ready');
    this.#frame?.focus();
    const { productId = '', variantId = '', locale = '', variants = '[]' } = this.dataset;
    this.#send('tryon:context', { productId, variantId, locale, variants: JSON.parse(variants) });
  }

  async #renew() {
    const url = await this.#askForFrame();
    const code = url instanceof URL && new URLSearchParams(url.hash.slice(1)).get('c');
    if (code) this.#send('tryon:code', { code });
  }

  /** @param {FromFrame<'tryon:add-to-cart'>} message */
  async #addToCart({ id, variantId, session, quantity }) {
    if (this.#answered.has(id)) return;
    this.#answered.add(id);
    const code = await this.#add(variantId, quantity, session).catch(() => /** @type {const} */ ('failed'));
    this.#send('tryon:cart', code ? { id, ok: false, code } : { id, ok: true });
  }

  /** @param {string} variantId @param {number} quantity @param {string} session @returns {Promise<CartFailure | null>} */
  async #add(variantId, quantity, session) {
    const { Shopify } = page;
    if (Shopify?.actions?.updateCart) {
      const { userErrors = [], warnings = [] } = await Shopify.actions.updateCart({
        lines: [{ merchandiseId: `gid://shopify/ProductVariant/${variantId}`, quantity, attributes: [{ key: PROPERTY, value: session }] }],
      });
      if ([...userErrors, ...warnings].some(({ code }) => /STOCK|SOLD/.test(code))) return 'sold_out';
      return userErrors.length ? 'unavailable' : null;
    }
    const response = await fetch(`${Shopify?.routes?.root ?? '/'}cart/add.js`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ items: [{ id: +variantId, quantity, properties: { [PROPERTY]: session } }] }),
    });
    return response.ok ? null : response.status === 422 ? 'sold_out' : 'failed';
  }

  /** @param {string} session */
  #remember(session) {
    sessions.set(this.dataset.productId ?? '', session);
    this.#tag();
    const { Shopify } = page;
    const keep = () => {
      try {
        if (Shopify.customerPrivacy.analyticsProcessingAllowed()) sessionStorage['tryon:session'] = session;
      } catch {} // no word on consent, or no storage
    };
    if (Shopify?.customerPrivacy || !Shopify?.loadFeatures) keep();
    else Shopify.loadFeatures([{ name: 'consent-tracking-api', version: '0.1' }], keep);
  }

  /* A later press on the theme's own button belongs to the try-on too, while it is for that product. */
  #tag() {
    this.#property?.remove();
    const session = sessions.get(this.dataset.productId ?? '');
    // Not `form.id`: product forms have an input of that name.
    const id = this.#productForm()?.getAttribute('id');
    if (!session || !id) return;
    this.#property = Object.assign(document.createElement('input'), { type: 'hidden', name: `properties[${PROPERTY}]`, value: session });
    this.#property.setAttribute('form', id);
    this.append(this.#property);
  }

  #readPage() {
    const form = this.#productForm();
    const id = form ? form.elements.id?.value : new URLSearchParams(location.search).get('variant');
    if (isId(id)) this.#choose(id);
    this.#tag();
  }

  /** @param {string} id */
  #choose(id) {
    if (id === this.dataset.variantId) return;
    this.dataset.variantId = id;
    this.#send('tryon:variant', { variantId: id });
  }

  #productForm() {
    const forms = /** @type {NodeListOf<any>} */ (document.querySelectorAll('form[action*="/cart/add"]'));
    return [...forms].find((form) => form.elements['product-id']?.value === this.dataset.productId);
  }
}

customElements.define('tryon-launcher', TryonLauncher);
})();
