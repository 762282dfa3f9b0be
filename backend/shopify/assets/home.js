// @ts-check
import { ask } from './api.js';
import { h } from './dom.js';
import { funnelPlot } from './plot.js';
import { attentionWords, faultWords } from './words.js';

const BLOCK = 'tryon_button';
const SETUP_WORDS = /** @type {Record<string, string>} */ ({ shop: 'Reading your shop', switches: 'Telling your theme', pixel: 'Switching on the pixel', catalogue: 'Reading your products' });

/** Where the block stands in the published theme, as Shopify says. @returns {Promise<'placed' | 'missing' | 'unknown'>} */
const blockState = async () => {
  try {
    // @ts-expect-error App Bridge's global
    const extensions = await window.shopify.app.extensions();
    const blocks = extensions.flatMap((/** @type {any} */ extension) => (extension.type === 'theme_app_extension' ? extension.activations : []));
    const ours = blocks.find((/** @type {any} */ block) => block.handle === BLOCK);
    return ours?.status === 'active' ? 'placed' : 'missing';
  } catch {
    return 'unknown';
  }
};

/** @param {string} shop */
const editorLink = (shop) => {
  const clientId = document.querySelector('meta[name=shopify-api-key]')?.getAttribute('content') ?? '';
  return `https://${shop}/admin/themes/current/editor?template=product&addAppBlockId=${clientId}/${BLOCK}&target=mainSection`;
};

/** @param {{ go: (page: string) => void }} actions */
export const homePage = async ({ go }) => {
  const [status, block, catalogue, results, plan] = await Promise.all([
    ask('GET', '/status'), blockState(), ask('GET', '/products/summary'), ask('GET', '/results?days=30'), ask('GET', '/plan'),
  ]);
  return h('div', { class: 'stack' },
    ...banners(status, plan),
    steps(status, block, catalogue, go),
    catalogue.attention.length > 0 ? needsAttention(catalogue) : null,
    h('s-section', { heading: 'The last 30 days' }, funnelPlot(results.funnel), sales(results.sales)),
    h('s-section', { heading: 'Plan' },
      h('s-paragraph', {}, `${plan.fittings} fittings this month. A fitting is the first picture of one shopper in one garment; size answers are free, and failures are never counted.`),
      h('s-link', { href: plan.plans_url, target: '_top' }, 'Plans and bills')));
};

/** @param {any} status @param {any} plan */
const banners = (status, plan) => [
  status.status === 'active' ? null : h('s-banner', { tone: 'critical', heading: 'TryOn is not connected to your shop' }, 'Reload this page; Shopify then lets TryOn in again.'),
  status.missing_scopes.length > 0 ? h('s-banner', { tone: 'warning', heading: 'A permission is missing' }, `Without ${status.missing_scopes.join(', ')} some features are off. Open TryOn anew to grant it.`) : null,
  plan.is_open ? null : h('s-banner', { tone: 'warning', heading: 'No plan is open' }, 'Shoppers do not see the button until a plan is chosen. If you have just chosen one, reload this page in a moment.'),
  status.is_enabled ? null : h('s-banner', { tone: 'info', heading: 'TryOn is paused' }, 'Shoppers do not see the button. Settings switch it on again.'),
];

/** @param {{ attention: any[], further: number }} catalogue */
const needsAttention = ({ attention, further }) => h('s-section', { heading: 'Needs attention' },
  h('ul', {}, ...attention.map((one) => h('li', {}, `${one.title}: ${attentionWords(one.attention)}`)), further > 0 ? h('li', {}, `and ${further} more`) : null));

/** @param {any} status @param {string} block @param {{ products: number, ready: number }} catalogue @param {(page: string) => void} go */
const steps = (status, block, { products, ready }, go) => {
  const open = Object.entries(status.setup).filter(([, outcome]) => outcome !== 'done').map(([name, outcome]) => `${SETUP_WORDS[name] ?? name} (${faultWords(String(outcome))})`);
  const list = [
    { done: status.is_set_up, title: 'Connect your shop', text: open.length > 0 ? `Still to do: ${open.join(', ')}.` : 'Nothing to copy, nothing to paste.', action: null },
    { done: products > 0, title: 'Choose products', text: `${products} taken in.`, action: h('s-button', { onclick: () => go('products') }, 'Choose products') },
    { done: ready > 0, title: 'Give one of them a size chart', text: `${ready} show the button.`, action: h('s-button', { onclick: () => go('products') }, 'Size charts') },
    { done: block === 'placed', title: 'Place the button on your product page', text: block === 'unknown' ? 'Your theme could not be asked.' : 'The theme editor opens with the block placed; press Save there.', action: h('s-link', { href: editorLink(status.shop), target: '_blank' }, 'Open the theme editor') },
  ];
  const left = list.filter(({ done }) => !done).length;
  return h('s-section', { heading: left > 0 ? `Set up: ${list.length - left} of ${list.length} done` : 'Set up' },
    h('ol', { class: 'steps' }, ...list.map(({ done, title, text, action }) => h('li', { class: done ? 'step step--done' : 'step' },
      h('s-badge', { tone: done ? 'success' : 'info' }, done ? 'Done' : 'To do'),
      h('div', {}, h('strong', {}, title), h('p', {}, text)), done ? null : action))));
};

/** @param {any} report */
const sales = ({ revenue, tried_on, not_tried_on }) => h('dl', { class: 'figures' },
  ...revenue.map((/** @type {any} */ { currency, net_minor, orders }) => figure('Revenue after a try-on', `${money(net_minor, currency)} in ${orders} ${orders === 1 ? 'order' : 'orders'}`)),
  figure('Came back, tried on', rateWords(tried_on)), figure('Came back, not tried on', rateWords(not_tried_on)));

/** @param {string} name @param {string} value */
const figure = (name, value) => h('div', {}, h('dt', {}, name), h('dd', {}, value));

/** @param {{ units: number, rate: number | null, low: number, high: number }} rate */
const rateWords = ({ units, rate, low, high }) => rate === null ? 'nothing bought yet'
  : `${percent(rate)} of ${units} (likely ${percent(low)} to ${percent(high)})`;

/** @param {number} share */
const percent = (share) => new Intl.NumberFormat('en', { style: 'percent', maximumFractionDigits: 0 }).format(share);

/** @param {number} minor @param {string} currency */
const money = (minor, currency) => {
  const format = new Intl.NumberFormat('en', { style: 'currency', currency });
  return format.format(minor / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
};
