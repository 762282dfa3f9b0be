// @ts-check
/* Stands in for App Bridge: tokens come from the stand-in for Shopify, which plays the merchant's admin. */
(() => {
  const origin = new URL(/** @type {HTMLScriptElement} */ (document.currentScript).src).origin;
  const shop = new URLSearchParams(location.search).get('shop') ?? sessionStorage.getItem('fake:shop') ?? '';
  if (shop) sessionStorage.setItem('fake:shop', shop);
  const plainFetch = window.fetch.bind(window);
  const read = async (/** @type {string} */ path) => (await plainFetch(`${origin}/_/shops/${shop}/${path}`)).json();
  const idToken = async () => (await read('id_token')).id_token;

  /** A dialog with the shop's products; resolves to undefined when it is left. */
  const resourcePicker = async () => {
    const { products } = await read('products');
    const dialog = document.createElement('dialog');
    dialog.setAttribute('aria-label', 'Choose products');
    const form = document.createElement('form');
    form.method = 'dialog';
    for (const { id, title } of products) {
      const label = document.createElement('label');
      const box = Object.assign(document.createElement('input'), { type: 'checkbox', name: 'product', value: `gid://shopify/Product/${id}` });
      label.append(box, ` ${title}`);
      label.style.display = 'block';
      form.append(label);
    }
    form.append(Object.assign(document.createElement('button'), { textContent: 'Select', value: 'select' }));
    dialog.append(form);
    document.body.append(dialog);
    dialog.showModal();
    await new Promise((resolve) => dialog.addEventListener('close', resolve));
    dialog.remove();
    if (dialog.returnValue !== 'select') return undefined;
    return new FormData(form).getAll('product').map((id) => ({ id: String(id) }));
  };

  const extensions = async () => (await read('extensions')).extensions;
  Object.assign(window, {
    shopify: {
      idToken,
      resourcePicker,
      config: { shop, locale: 'en' },
      toast: { show: () => {} },
      loading: () => {},
      app: { extensions },
    },
  });
})();
