"""What the admin page loads from Shopify's CDN, as far as the demo needs it: a token, and plain elements."""

APP_BRIDGE = """
/* Stands in for App Bridge: the token comes from the stand-in, which plays the merchant's admin. */
(() => {
  const origin = new URL(document.currentScript.src).origin;
  const shop = () => new URLSearchParams(location.search).get('shop') ?? sessionStorage.getItem('fake:shop') ?? '';
  if (shop()) sessionStorage.setItem('fake:shop', shop());
  const idToken = async () => {
    const answer = await originalFetch(`${origin}/_/shops/${shop()}/id_token`);
    return (await answer.json()).id_token;
  };
  const originalFetch = window.fetch.bind(window);
  window.fetch = async (input, options = {}) => {
    const address = new URL(input instanceof Request ? input.url : input, location.href);
    if (address.origin !== location.origin) return originalFetch(input, options);
    const headers = new Headers(input instanceof Request ? input.headers : options.headers);
    if (!headers.has('authorization')) headers.set('authorization', `Bearer ${await idToken()}`);
    return originalFetch(input, { ...options, headers });
  };
  window.shopify = {
    idToken,
    config: { shop: shop(), locale: 'en' },
    toast: { show: (text) => console.info(text) },
    saveBar: { show: async () => {}, hide: async () => {} },
    loading: () => {},
    resourcePicker: async () => [],
    app: { extensions: async () => [] },
  };
})();
"""
POLARIS = "/* Stands in for Polaris: its elements stay unknown ones, which browsers show as plain boxes. */\n"
SCRIPTS = {"shopifycloud/app-bridge.js": APP_BRIDGE, "shopifycloud/polaris.js": POLARIS}
