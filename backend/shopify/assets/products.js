// @ts-check
import { ask } from './api.js';
import { chartEditor } from './chart_editor.js';
import { h, valueOf } from './dom.js';
import { attentionWords } from './home.js';

const POLL_MS = 1500;

export const productsPage = async () => {
  const page = h('div', { class: 'stack' });
  const show = async () => {
    const list = await ask('GET', '/products');
    page.replaceChildren(h('s-section', { heading: 'Products' },
      h('div', { class: 'row' }, h('s-button', { variant: 'primary', onclick: () => void pick(show) }, 'Choose products')),
      progressOf(list.progress, show), tableOf(list.products, page, show)));
  };
  await show();
  return page;
};

/** @param {() => Promise<void>} show */
const pick = async (show) => {
  // @ts-expect-error App Bridge's global
  const chosen = await window.shopify.resourcePicker({ type: 'product', multiple: true, action: 'select' });
  const product_ids = (chosen ?? []).map((/** @type {{ id: string }} */ { id }) => Number(id.split('/').pop()));
  if (product_ids.length === 0) return;
  await ask('POST', '/products', { product_ids });
  await show();
};

/** @param {{ is_running: boolean, done: number, total: number, error_code: string | null }} progress @param {() => Promise<void>} show */
const progressOf = ({ is_running, done, total, error_code }, show) => {
  if (error_code) return h('s-banner', { tone: 'warning', heading: 'Reading your products stopped' }, `It is tried again by itself (${error_code}).`);
  if (!is_running) return null;
  setTimeout(() => void show(), POLL_MS);
  return h('div', { class: 'row' }, h('progress', { max: Math.max(1, total), value: done, 'aria-label': 'Reading your products' }), `Reading your products: ${done} of ${total || '…'}`);
};

/** @param {any[]} products @param {HTMLElement} page @param {() => Promise<void>} show */
const tableOf = (products, page, show) => {
  if (products.length === 0) return h('s-paragraph', {}, 'No product yet. Choose those that shoppers should try on.');
  const edit = (/** @type {any} */ product) => page.replaceChildren(chartEditor(product, { onSaved: () => void show(), onClose: () => void show() }));
  return h('div', { class: 'grid-box' }, h('table', { class: 'table' },
    h('thead', {}, h('tr', {}, ...['Product', 'Sizes', 'Size chart', 'Shoppers'].map((head) => h('th', { scope: 'col' }, head)), h('td', {}))),
    h('tbody', {}, ...products.map((product) => rowOf(product, () => edit(product), show)))));
};

/** @param {any} product @param {() => void} edit @param {() => Promise<void>} show */
const rowOf = (product, edit, show) => {
  const { title, sizes, size_option, option_names, garment, is_ready, attention, product_id } = product;
  const option = size_option === null && option_names.length > 0
    ? h('s-select', { label: `Which option of ${title} is the size?`, onchange: async (/** @type {Event} */ event) => { await ask('PUT', `/products/${product_id}/size-option`, { name: valueOf(event) }); await show(); } },
      h('s-option', { value: '' }, 'Choose'), ...option_names.map((/** @type {string} */ name) => h('s-option', { value: name }, name)))
    : sizes.join(', ') || '–';
  const verb = garment ? 'Change' : 'Add';
  const chart = garment ? `${garment.category}, ${Object.keys(garment.size_chart.sizes).length} sizes` : 'none yet';
  return h('tr', {}, h('th', { scope: 'row' }, title || `Product ${product_id}`), h('td', {}, option), h('td', {}, chart),
    h('td', {}, h('s-badge', { tone: is_ready ? 'success' : 'info' }, is_ready ? 'See the button' : 'See nothing'), attention.length > 0 ? h('p', { class: 'problem' }, attentionWords(attention)) : null),
    h('td', {}, h('s-button', { onclick: edit, accessibilityLabel: `${verb} chart of ${title}` }, `${verb} chart`)));
};
