// @ts-check
/** What the service says in codes, for merchants. */
const ATTENTION = /** @type {Record<string, string>} */ ({
  size_option_unknown: 'say which option is the size',
  chart_size_without_option: 'in the chart, not sold',
  option_without_chart_size: 'sold, not in the chart',
});
const FAULTS = /** @type {Record<string, string>} */ ({
  shopify_unavailable: 'Shopify does not answer now',
  needs_visit: 'Shopify asks you to reload this page',
  token_refused: 'Shopify asks you to reload this page',
  scope_missing: 'a permission is missing',
  bulk_failed: 'Shopify could not write the list of your products',
});

/** @param {{ code: string, sizes: string[] }[]} attention */
export const attentionWords = (attention) => attention.map(({ code, sizes }) => `${ATTENTION[code] ?? code.replaceAll('_', ' ')}${sizes.length > 0 ? `: ${sizes.join(', ')}` : ''}`).join('; ');

/** A code that we have no words for is told as it is, so that support can be asked about it. @param {string} code */
export const faultWords = (code) => FAULTS[code] ?? code;
