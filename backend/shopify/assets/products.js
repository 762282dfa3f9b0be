// @ts-check
import { ask, Refused } from './api.js';
import { chartEditor } from './chart_editor.js';
import { h, valueOf } from './dom.js';
import { attentionWords, faultWords } from './words.js';

const [POLL_MS, SLOW_POLL_MS] = [1500, 15_000];

/** @typedef {{ show: () => Promise<void>, edit: (product: any) => void, attempt: (act: () => Promise<unknown>) => Promise<void> }} Actions */

export const productsPage = async () => {
  const content = h('div', { class: 'stack' });
  const said = h('p', { role: 'alert', class: 'problem' });
  const page = h('div', { class: 'stack' }, said, content);
  let search = '';
  /** Of the pages turned over so far, the last product of each. @type {number[]} */
  let turned = [];
  /** Goes up with all that is drawn: an answer that comes later than that is not drawn over it. */
  let drawn = 0;
  const list = h('div', { class: 'stack' });
  const show = async () => {
    const turn = ++drawn;
    const { products, progress, next_after } = await ask('GET', `/products?after=${turned.at(-1) ?? 0}&search=${encodeURIComponent(search)}`);
    if (turn !== drawn) return;
    list.replaceChildren(...[progressOf(progress), tableOf(products, search, actions), pager(next_after)].filter((part) => part !== null));
    if (!content.contains(frame)) content.replaceChildren(frame);
    if (progress.is_running) setTimeout(() => { if (turn === drawn && page.isConnected) void attempt(show); }, progress.error_code ? SLOW_POLL_MS : POLL_MS);
  };
  const attempt = async (/** @type {() => Promise<unknown>} */ act) => {
    try {
      said.textContent = '';
      await act();
    } catch (error) {
      said.textContent = error instanceof Refused ? error.message : 'This did not work. Try again.';
    }
  };
  const edit = (/** @type {any} */ product) => {
    drawn += 1;
    content.replaceChildren(chartEditor(product, { onSaved: () => void attempt(show), onClose: () => void attempt(show) }));
  };
  const searchField = h('s-text-field', { label: 'Search by title', onchange: (/** @type {Event} */ event) => { search = valueOf(event).trim(); turned = []; void attempt(show); } });
  const pager = (/** @type {number | null} */ next) => h('div', { class: 'row' },
    turned.length > 0 && h('s-button', { onclick: () => { turned.pop(); void attempt(show); } }, 'Back'),
    next !== null && h('s-button', { onclick: () => { turned.push(next); void attempt(show); } }, 'Further products'));
  const actions = { show, edit, attempt };
  /** Stays while the list in it is drawn anew: somebody may be typing. */
  const frame = h('s-section', { heading: 'Products' },
    h('div', { class: 'row' }, h('s-button', { variant: 'primary', onclick: () => void attempt(() => pick(show)) }, 'Choose products'), searchField), list);
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

/** @param {{ is_running: boolean, done: number, total: number, error_code: string | null }} progress */
const progressOf = ({ is_running, done, total, error_code }) => {
  if (error_code) return h('s-banner', { tone: 'warning', heading: 'Reading your products stopped' }, `It is tried again by itself (${faultWords(error_code)}).`);
  if (!is_running) return null;
  return h('div', { class: 'row' }, h('progress', { max: Math.max(1, total), value: done, 'aria-label': 'Reading your products' }), `Reading your products: ${done} of ${total || '…'}`);
};

/** @param {any[]} products @param {string} search @param {Actions} actions */
const tableOf = (products, search, actions) => {
  if (products.length === 0) return h('s-paragraph', {}, search ? `No product’s title has “${search}” in it.` : 'No product yet. Choose those that shoppers should try on.');
  return h('div', { class: 'grid-box' }, h('table', { class: 'table' },
    h('thead', {}, h('tr', {}, ...['Product', 'Sizes', 'Size chart', 'Shoppers'].map((head) => h('th', { scope: 'col' }, head)), h('td', {}))),
    h('tbody', {}, ...products.map((product) => rowOf(product, actions)))));
};

/** @param {any} product @param {Actions} actions */
const rowOf = (product, { show, edit, attempt }) => {
  const { title, sizes, size_option, option_names, garment, is_ready, attention, product_id } = product;
  const option = size_option === null && option_names.length > 0
    ? h('s-select', { label: `Which option of ${title} is the size?`, onchange: (/** @type {Event} */ event) => { const name = valueOf(event); void attempt(async () => { await ask('PUT', `/products/${product_id}/size-option`, { name }); await show(); }); } },
      h('s-option', { value: '' }, 'Choose'), ...option_names.map((/** @type {string} */ name) => h('s-option', { value: name }, name)))
    : sizes.join(', ') || '–';
  const verb = garment ? 'Change' : 'Add';
  const chart = garment ? `${garment.category}, ${Object.keys(garment.size_chart.sizes).length} sizes` : 'none yet';
  return h('tr', {}, h('th', { scope: 'row' }, title || `Product ${product_id}`), h('td', {}, option), h('td', {}, chart),
    h('td', {}, h('s-badge', { tone: is_ready ? 'success' : 'info' }, is_ready ? 'See the button' : 'See nothing'), attention.length > 0 ? h('p', { class: 'problem' }, attentionWords(attention)) : null),
    h('td', {}, h('s-button', { onclick: () => edit(product), accessibilityLabel: `${verb} chart of ${title}` }, `${verb} chart`)));
};
