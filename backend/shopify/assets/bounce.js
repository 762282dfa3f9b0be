// @ts-check
/* The page came without a token that is good: ask Shopify's admin for one and load again, once. */
const line = document.getElementById('status');
const address = new URL(location.href);

/** @param {string} text */
const say = (text) => {
  if (line) line.textContent = text;
};

const reload = async () => {
  // @ts-expect-error App Bridge's global
  const token = await window.shopify.idToken();
  const next = new URL('/admin', location.origin);
  for (const name of ['shop', 'host', 'embedded', 'locale', 'page']) {
    const value = address.searchParams.get(name);
    if (value) next.searchParams.set(name, value);
  }
  next.searchParams.set('id_token', token);
  next.searchParams.set('bounced', '1');
  location.replace(next);
};

if (address.searchParams.has('bounced')) say('Shopify could not confirm who you are. Open TryOn anew from the apps of your shop.');
else reload().catch(() => say('Open TryOn from the apps in your Shopify admin.'));

export {};
