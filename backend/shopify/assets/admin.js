// @ts-check
/* The token in the address has been used: it goes out of the history. Later requests carry their own. */
const address = new URL(location.href);
for (const name of ['id_token', 'bounced', 'hmac', 'session', 'timestamp']) address.searchParams.delete(name);
history.replaceState(null, '', address);

const app = /** @type {HTMLElement} */ (document.getElementById('app'));

/** @param {string} path */
const read = async (path) => {
  // @ts-expect-error App Bridge's global
  const token = await window.shopify.idToken();
  const response = await fetch(path, { headers: { authorization: `Bearer ${token}` } });
  if (!response.ok) throw new Error(String(response.status));
  return response.json();
};

/** @param {{ shop: string, status: string, setup: Record<string, string> }} state */
const show = ({ shop, status, setup }) => {
  const heading = document.createElement('h1');
  heading.textContent = `TryOn in ${shop}`;
  const line = document.createElement('p');
  line.textContent = status === 'active' ? 'Connected.' : 'Not connected yet: reload this page.';
  const list = document.createElement('ul');
  for (const [step, outcome] of Object.entries(setup)) {
    const item = document.createElement('li');
    item.textContent = `${step}: ${outcome}`;
    list.append(item);
  }
  app.replaceChildren(heading, line, list);
};

read('/admin/api/status').then(show, () => {
  app.textContent = 'TryOn cannot be reached. Reload this page.';
});
