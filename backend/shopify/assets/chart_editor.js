// @ts-check
import { ask, Refused } from './api.js';
import { h, valueOf } from './dom.js';

export const CATEGORIES = ['t-shirt', 'long-sleeve shirt', 'hoodie', 'dress', 'skirt', 'trousers', 'shorts'];
/** Offered first for a category; others appear when a pasted chart has them. */
const USUAL = /** @type {Record<string, string[]>} */ ({
  't-shirt': ['chest', 'waist', 'length'],
  'long-sleeve shirt': ['chest', 'waist', 'length', 'sleeve'],
  hoodie: ['chest', 'hem', 'length', 'sleeve'],
  dress: ['chest', 'waist', 'hip', 'length'],
  skirt: ['waist', 'hip', 'length'],
  trousers: ['waist', 'hip', 'thigh', 'inseam'],
  shorts: ['waist', 'hip', 'thigh', 'inseam'],
});

/** @typedef {{ category: string, unit: string, measures: string, flat: boolean, stretch: string, sizes: Record<string, Record<string, number | string>> }} Draft */

/**
 * A chart as a grid that can be typed into or filled by pasting a table. Problems stand at their cells.
 * @param {any} product
 * @param {{ onSaved: (product: any) => void, onClose: () => void }} actions
 */
export const chartEditor = (product, { onSaved, onClose }) => {
  const draft = draftOf(product);
  const grid = h('div', { class: 'grid-box' });
  const notes = h('div', { 'aria-live': 'polite' });
  const options = h('div', { class: 'row' });
  const draw = (/** @type {any[]} */ problems = []) => {
    options.replaceChildren(...chartOptions(draft, () => draw()));
    grid.replaceChildren(gridOf(draft, problems, () => draw()));
  };
  const paste = h('s-text-area', { label: 'Paste a table from a spreadsheet or a page', rows: 4, oninput: (/** @type {Event} */ event) => void read(valueOf(event)) });
  /** Every measure with a value before any paste: one paste may be heard of in several pieces. @type {Set<string>} */
  const had = new Set();
  const read = async (/** @type {string} */ text) => {
    if (!text.includes('\n')) return;
    try {
      const found = await ask('POST', '/charts', { text });
      for (const measure of measuresOf(draft)) had.add(measure);
      if (Object.keys(found.sizes).length > 0) draft.sizes = found.sizes;
      const lost = [...had].filter((measure) => !measuresOf(draft).includes(measure));
      if (found.unit) draft.unit = found.unit;
      draw();
      notes.replaceChildren(...found.problems.map((/** @type {any} */ { row, column, detail }) => h('p', { class: 'problem' }, `Row ${row}, column ${column}: ${detail}`)),
        ...lost.map((measure) => h('p', { class: 'problem' }, `${measure.replaceAll('_', ' ')} is not in this table and was left out.`)),
        !found.unit && Object.keys(found.sizes).length > 0 ? h('p', { class: 'problem' }, 'Say whether these are centimetres or inches.') : '');
    } catch (error) {
      notes.replaceChildren(h('p', { class: 'problem' }, /** @type {Error} */ (error).message));
    }
  };
  const save = h('s-button', { variant: 'primary', onclick: () => void send() }, 'Save and show the button');
  const send = async () => {
    save.setAttribute('loading', '');
    notes.replaceChildren();
    try {
      const { product: saved } = await ask('PUT', `/products/${product.product_id}/garment`, bodyOf(draft));
      onSaved(saved);
    } catch (error) {
      if (!(error instanceof Refused)) {
        notes.replaceChildren(h('p', { class: 'problem', role: 'alert' }, 'This could not be saved. Try again.'));
        return;
      }
      draw(error.problems);
      const isInGrid = error.problems.some(({ size, detail }) => size in draft.sizes && detail === error.message);
      notes.replaceChildren(h('p', { class: 'problem', role: 'alert' }, isInGrid ? 'Not saved: see the marks in the table.' : error.message));
    } finally {
      save.removeAttribute('loading');
    }
  };
  draw();
  return h('s-section', { heading: `Size chart of ${product.title}` },
    options, paste, grid, notes,
    h('div', { class: 'row' }, save, h('s-button', { onclick: onClose }, 'Back')));
};

/** The measures that any size has a value for. @param {Draft} draft */
const measuresOf = ({ sizes }) => [...new Set(Object.values(sizes).flatMap((row) => Object.keys(row).filter((measure) => row[measure] !== '')))];

/** @param {any} product @returns {Draft} */
const draftOf = ({ garment, sizes, suggested_chart }) => {
  if (garment) {
    const { unit, measures, flat, sizes: rows } = garment.size_chart;
    return { category: garment.category, unit, measures, flat, stretch: garment.fabric?.stretch ?? '', sizes: structuredClone(rows) };
  }
  const rows = suggested_chart?.sizes ?? Object.fromEntries(sizes.map((/** @type {string} */ size) => [size, {}]));
  return { category: 't-shirt', unit: suggested_chart?.unit ?? 'cm', measures: 'garment', flat: false, stretch: '', sizes: structuredClone(rows) };
};

/** @param {Draft} draft */
const bodyOf = ({ category, unit, measures, flat, stretch, sizes }) => ({
  category,
  stretch: stretch || null,
  size_chart: {
    unit, measures, flat,
    sizes: Object.fromEntries(Object.entries(sizes).map(([size, row]) => [size, Object.fromEntries(Object.entries(row).filter(([, value]) => value !== '').map(([name, value]) => [name, numberOf(value)]))])),
  },
});

/** What is no number is sent as it is, so that the answer names its cell. @param {number | string} value */
const numberOf = (value) => {
  const number = Number(String(value).replace(',', '.'));
  return Number.isFinite(number) ? number : value;
};

/** @param {Draft} draft @param {() => void} redraw */
const chartOptions = (draft, redraw) => {
  const choose = (/** @type {string} */ label, /** @type {'category' | 'unit' | 'measures' | 'stretch'} */ name, /** @type {[string, string][]} */ choices) => {
    const field = h('s-select', { label, value: draft[name], onchange: (/** @type {Event} */ event) => { draft[name] = valueOf(event); redraw(); } },
      ...choices.map(([value, text]) => h('s-option', { value, selected: value === draft[name] }, text)));
    return field;
  };
  return [
    choose('Kind', 'category', CATEGORIES.map((category) => [category, category])),
    choose('Unit', 'unit', [['cm', 'Centimetres'], ['in', 'Inches']]),
    choose('Measured on', 'measures', [['garment', 'The garment, all round'], ['body', 'The body it is for']]),
    choose('Fabric', 'stretch', [['', 'As usual for this kind'], ['woven', 'Woven, no stretch'], ['knit', 'Knit'], ['stretch', 'Stretch']]),
  ];
};

/** @param {Draft} draft @param {any[]} problems @param {() => void} redraw */
const gridOf = (draft, problems, redraw) => {
  const given = Object.values(draft.sizes).flatMap((row) => Object.keys(row));
  const measures = [...new Set([...(USUAL[draft.category] ?? []), ...given])];
  const problemAt = (/** @type {string} */ size, /** @type {string | undefined} */ measure) => problems.find((problem) => problem.size === size && problem.measure === measure);
  const cell = (/** @type {string} */ size, /** @type {string} */ measure) => {
    const problem = problemAt(size, measure);
    const row = /** @type {Record<string, number | string>} */ (draft.sizes[size]);
    const input = h('input', {
      class: 'cell', inputmode: 'decimal', 'aria-label': `${measure} of ${size}`, value: row[measure] ?? '', 'aria-invalid': problem ? 'true' : null,
      title: problem?.detail, oninput: (/** @type {Event} */ event) => { row[measure] = valueOf(event).trim(); },
    });
    return h('td', {}, input, problem ? h('span', { class: 'problem' }, problem.detail) : null);
  };
  const name = h('input', { class: 'cell', 'aria-label': 'Name of a further size', placeholder: 'Size' });
  const add = () => {
    const size = /** @type {HTMLInputElement} */ (name).value.trim();
    if (size && !(size in draft.sizes)) { draft.sizes[size] = {}; redraw(); }
  };
  return h('table', { class: 'table' },
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Size'), ...measures.map((measure) => h('th', { scope: 'col' }, measure.replace('_', ' '))), h('td', {}))),
    h('tbody', {}, ...Object.keys(draft.sizes).map((size) => h('tr', {},
      h('th', { scope: 'row' }, size, problemAt(size, undefined) ? h('span', { class: 'problem' }, problemAt(size, undefined).detail) : null),
      ...measures.map((measure) => cell(size, measure)),
      h('td', {}, h('s-button', { variant: 'tertiary', accessibilityLabel: `Remove size ${size}`, onclick: () => { delete draft.sizes[size]; redraw(); } }, 'Remove')))),
      h('tr', {}, h('td', {}, name), h('td', { colspan: measures.length + 1 }, h('s-button', { onclick: add }, 'Add size')))));
};
