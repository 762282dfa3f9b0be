// @ts-check
/* The size button. Nothing is asked for until it is pressed. */
/** @import { CartFailure, FrameType, FromFrame, ShopMessages, ShopType } from '../../../../embed/src/protocol' */
(() => {
  if (customElements.get('tryon-launcher')) return;

  const PROPERTY = '_tryon_session';
  /** @type {Record<string, any>} */
  const page = window;
  /** @param {unknown} id a number or a GID */
  const numeric = (id) => String(id ?? '').split('/').pop() ?? '';
  /** @param {unknown} text */
  const isId = (text) => typeof text === 'string' && /^\d{1,16}$/.test(text) && Number(text) < 2 ** 53;
  /** @param {unknown} text */
  const isUuid = (text) => typeof text === 'string' && /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(text);

  /** Whether the fields of each message are of the right form; anything else is dropped in silence.
   * @type {Record<FrameType, (message: Record<string, unknown>) => boolean>} */
  const FORM = {
    'tryon:ready': () => true,
    'tryon:close': () => true,
    'tryon:renew': () => true,
    'tryon:session': ({ session }) => isUuid(session),
    'tryon:add-to-cart': ({ id, variantId, session, quantity }) =>
      isUuid(id) && isId(variantId) && isUuid(session) && [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].includes(/** @type {number} */ (quantity)),
  };

  class TryonLauncher extends HTMLElement {
    /** @type {HTMLDialogElement | null} */ #dialog = null;
    /** @type {HTMLIFrameElement | null} */ #frame = null;
    /** @type {HTMLInputElement | null} */ #property = null;
    #origin = '';
    #isOpening = false;
    #stop = new AbortController();
    /** @type {Set<string>} requests already answered */ #answered = new Set();

    connectedCallback() {
      this.#stop = new AbortController();
      const { signal } = this.#stop;
      // On the host: with `async` the children may not be parsed yet.
      this.addEventListener('click', (event) => {
        if (event.target instanceof Element && event.target.closest('.tryon__button')) void this.open();
      }, { signal });
      addEventListener('message', (event) => this.#receive(event), { signal });
      this.#followVariant(signal);
    }

    disconnectedCallback() {
      this.#stop.abort();
      this.#dialog?.remove();
      this.#dialog = this.#frame = null;
      this.#untag();
    }

    async open() {
      const dialog = (this.#dialog ??= this.#build());
      dialog.showModal();
      if (this.#frame) return this.#send('tryon:opened', {});
      const status = dialog.querySelector('.tryon-dialog__status');
      if (!(status instanceof HTMLElement) || this.#isOpening) return;
      // The editor's own frame is not on our list of pages that may frame us.
      if (this.dataset.designMode !== undefined) { status.textContent = status.dataset.preview ?? ''; return; }
      this.#isOpening = true;
      const url = await this.#askForFrame();
      this.#isOpening = false;
      if (url) this.#show(dialog, url);
      else status.textContent = status.dataset.error ?? '';
    }

    /* The store's own signed proxy alone has an address; its one-use code stands in the fragment. */
    async #askForFrame() {
      const { proxy, productId = '', variantId = '', locale = '' } = this.dataset;
      const n = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
      const query = new URLSearchParams({ product_id: productId, variant_id: variantId, locale, origin: location.origin, n });
      try {
        const response = await fetch(`${proxy}/session?${query}`, { method: 'POST', headers: { accept: 'application/json' } });
        return response.ok ? new URL((await response.json()).src) : null;
      } catch {
        return null;
      }
    }

    /** @param {HTMLDialogElement} dialog @param {URL} url */
    #show(dialog, url) {
      this.#origin = url.origin;
      this.#frame = Object.assign(document.createElement('iframe'), {
        src: url.href,
        title: dialog.getAttribute('aria-label') ?? '',
        allow: `camera ${url.origin}; fullscreen ${url.origin}`,
        referrerPolicy: 'strict-origin-when-cross-origin',
      });
      dialog.prepend(this.#frame);
    }

    #build() {
      const template = /** @type {HTMLTemplateElement} */ (this.querySelector('template'));
      this.append(template.content.cloneNode(true));
      const dialog = /** @type {HTMLDialogElement} */ (this.querySelector('dialog'));
      dialog.addEventListener('click', (event) => {
        const { target } = event;
        if (target === dialog || (target instanceof Element && target.closest('.tryon-dialog__close'))) dialog.close();
      });
      dialog.addEventListener('close', () => this.#send('tryon:closed', {}));
      return dialog;
    }

    /** @template {ShopType} T @param {T} type @param {ShopMessages[T]} fields */
    #send(type, fields) {
      if (this.#origin) this.#frame?.contentWindow?.postMessage({ v: 1, type, ...fields }, this.#origin);
    }

    /** @param {MessageEvent} event */
    #receive({ origin, source, data }) {
      if (!this.#frame || source !== this.#frame.contentWindow || origin !== this.#origin || data?.v !== 1) return;
      if (!Object.hasOwn(FORM, data.type) || !FORM[/** @type {FrameType} */ (data.type)](data)) return;
      const message = /** @type {FromFrame} */ (data);
      switch (message.type) {
        case 'tryon:ready': return this.#greet();
        case 'tryon:close': return this.#dialog?.close();
        case 'tryon:session': return this.#tag(message.session);
        case 'tryon:renew': return void this.#renew();
        default: return void this.#addToCart(message);
      }
    }

    #greet() {
      this.#dialog?.toggleAttribute('data-ready', true);
      const { productId = '', variantId = '', locale = '', variants = '[]' } = this.dataset;
      this.#send('tryon:context', { productId, variantId, locale, variants: JSON.parse(variants) });
    }

    async #renew() {
      const code = new URLSearchParams((await this.#askForFrame())?.hash.slice(1)).get('c');
      if (code) this.#send('tryon:code', { code });
    }

    /** @param {FromFrame<'tryon:add-to-cart'>} message */
    async #addToCart({ id, variantId, session, quantity }) {
      if (this.#answered.has(id)) return;
      this.#answered.add(id);
      const code = await this.#add(variantId, quantity, session).catch(() => /** @type {const} */ ('failed'));
      this.#send('tryon:cart', code ? { id, ok: false, code } : { id, ok: true });
    }

    /* Themes hide properties that begin with `_`; this one comes back with the order. */
    /** @param {string} variantId @param {number} quantity @param {string} session @returns {Promise<CartFailure | null>} */
    async #add(variantId, quantity, session) {
      const { Shopify } = page;
      if (Shopify?.actions?.updateCart) {
        const { userErrors } = await Shopify.actions.updateCart({
          lines: [{ merchandiseId: `gid://shopify/ProductVariant/${variantId}`, quantity, attributes: [{ key: PROPERTY, value: session }] }],
        });
        return userErrors?.length ? 'unavailable' : null;
      }
      const response = await fetch(`${Shopify?.routes?.root ?? '/'}cart/add.js`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body: JSON.stringify({ items: [{ id: Number(variantId), quantity, properties: { [PROPERTY]: session } }] }),
      });
      return response.ok ? null : response.status === 422 ? 'sold_out' : 'failed';
    }

    /* A later press on the theme's own button belongs to this try-on too. */
    /** @param {string} session */
    #tag(session) {
      // Not `form.id`: product forms have an input of that name.
      const id = this.#productForm()?.getAttribute('id');
      if (!id) return;
      this.#property ??= Object.assign(document.createElement('input'), { type: 'hidden', name: `properties[${PROPERTY}]` });
      this.#property.setAttribute('form', id);
      this.#property.value = session;
      this.append(this.#property);
      if (page.Shopify?.customerPrivacy?.analyticsProcessingAllowed?.()) sessionStorage.setItem('tryon:session', session);
    }

    #untag() {
      this.#property?.remove();
      this.#property = null;
    }

    /** Themes tell of a variant in three ways: the standard event, the form's hidden input, the address.
     * @param {AbortSignal} signal */
    #followVariant(signal) {
      document.addEventListener('shopify:product:select', async (event) => {
        const { product, promise } = /** @type {any} */ (event);
        if (numeric(product?.id) !== this.dataset.productId) return;
        const chosen = await Promise.resolve(promise).catch(() => null);
        if (chosen?.variant) this.#choose(numeric(chosen.variant.id));
      }, { signal });
      // Themes write the hidden input after the change event: read it one turn later.
      document.addEventListener('change', () => {
        setTimeout(() => {
          const input = this.#productForm()?.querySelector('[name="id"]');
          const id = input instanceof HTMLInputElement ? input.value : new URLSearchParams(location.search).get('variant');
          if (isId(id)) this.#choose(String(id));
        }, 0);
      }, { signal });
    }

    /** @param {string} id */
    #choose(id) {
      if (id === this.dataset.variantId) return;
      this.dataset.variantId = id;
      this.#send('tryon:variant', { variantId: id });
    }

    #productForm() {
      const forms = [...document.querySelectorAll('form[action*="/cart/add"]')];
      return forms.find((form) => {
        const input = form.querySelector('[name="product-id"]');
        return input instanceof HTMLInputElement && input.value === this.dataset.productId;
      });
    }
  }

  customElements.define('tryon-launcher', TryonLauncher);
})();
