// @ts-check
import { Refused } from './api.js';
import { h } from './dom.js';
import { homePage } from './home.js';
import { productsPage } from './products.js';
import { settingsPage } from './settings.js';

/* The token in the address has been used: it goes out of the history. Later requests carry their own. */
const address = new URL(location.href);
for (const name of ['id_token', 'bounced', 'hmac', 'session', 'timestamp']) address.searchParams.delete(name);
history.replaceState(null, '', address);

const app = /** @type {HTMLElement} */ (document.getElementById('app'));
const PAGES = /** @type {Record<string, { title: string, make: () => Promise<HTMLElement> }>} */ ({
  home: { title: 'TryOn', make: () => homePage({ go }) },
  products: { title: 'Products and size charts', make: productsPage },
  settings: { title: 'Settings', make: settingsPage },
});

const wanted = () => new URL(location.href).searchParams.get('page') ?? 'home';

/** @param {string} page */
const go = (page) => {
  const next = new URL(location.href);
  next.searchParams.set('page', page);
  history.pushState(null, '', next);
  void show();
};

const show = async () => {
  const page = wanted();
  const { title, make } = PAGES[page] ?? /** @type {{ title: string, make: () => Promise<HTMLElement> }} */ (PAGES.home);
  const content = await make().catch((error) => h('s-banner', { tone: 'critical', heading: 'TryOn cannot be reached' }, error instanceof Refused ? error.message : 'Reload this page.'));
  if (page !== wanted()) return;
  app.replaceChildren(h('s-page', { heading: title }, content));
  app.setAttribute('data-page', page);
};

/* Shopify draws this menu outside of our frame and then loads the address; drawn by us, it needs no load. */
document.body.prepend(h('s-app-nav', {}, ...Object.entries(PAGES).map(([page, { title }]) => h('s-link', {
  href: `/admin?page=${page}`,
  onclick: (/** @type {Event} */ event) => { event.preventDefault(); go(page); },
}, page === 'home' ? 'Home' : title))));
addEventListener('popstate', () => void show());
/* Back from the theme editor in another tab: the block may stand there now. */
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible' && wanted() === 'home') void show();
});
void show();
