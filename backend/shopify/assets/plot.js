// @ts-check
import { h, svg } from './dom.js';

const STEPS = /** @type {Record<string, string>} */ ({
  opened: 'Opened',
  size_recommended: 'Got a size',
  tried_on: 'Tried on',
  added_to_cart: 'Added to cart',
  purchased: 'Bought',
});
const [WIDTH, ROW, BAR, LABEL] = [640, 40, 24, 132];

/**
 * The funnel as bars, and the same as a table one press away.
 * @param {{ steps: { step: string, reached: number }[], robots: number }} funnel
 */
export const funnelPlot = ({ steps, robots }) => {
  const shown = steps.filter(({ step }) => step in STEPS);
  const most = Math.max(1, ...shown.map(({ reached }) => reached));
  const rows = shown.map(({ step, reached }, row) => {
    const length = (WIDTH - LABEL - 60) * (reached / most);
    const middle = row * ROW + ROW / 2;
    return svg('g', {},
      svg('text', { x: LABEL - 12, y: middle + 5, 'text-anchor': 'end', class: 'plot__label' }, STEPS[step] ?? step),
      svg('rect', { x: LABEL, y: middle - BAR / 2, width: Math.max(2, length), height: BAR, rx: 4, class: 'plot__bar' }),
      svg('text', { x: LABEL + Math.max(2, length) + 8, y: middle + 5, class: 'plot__value' }, String(reached)));
  });
  const summary = shown.map(({ step, reached }) => `${STEPS[step]} ${reached}`).join(', ');
  return h('figure', { class: 'plot' },
    svg('svg', { viewBox: `0 0 ${WIDTH} ${shown.length * ROW}`, role: 'img', 'aria-label': `Try-ons by step: ${summary}` }, ...rows),
    h('details', {}, h('summary', {}, 'As a table'),
      h('table', { class: 'table' },
        h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Step'), h('th', { scope: 'col' }, 'Try-ons'))),
        h('tbody', {}, ...shown.map(({ step, reached }) => h('tr', {}, h('th', { scope: 'row' }, STEPS[step] ?? step), h('td', {}, String(reached))))))),
    robots > 0 && h('figcaption', { class: 'plot__note' }, `Left out: ${robots} by robots, such as search engines and automated tests.`));
};
