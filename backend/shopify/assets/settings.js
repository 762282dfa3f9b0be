// @ts-check
import { ask, Refused } from './api.js';
import { h, valueOf } from './dom.js';

/** What shoppers are promised as the most; the service refuses more. */
const MOST_DAYS = 30;

export const settingsPage = async () => {
  const settings = await ask('GET', '/settings');
  const said = h('p', { role: 'status' });
  const save = async (/** @type {object} */ change) => {
    try {
      await ask('PATCH', '/settings', change);
      said.textContent = 'Saved.';
    } catch (error) {
      said.textContent = error instanceof Refused ? error.message : 'This could not be saved.';
    }
  };
  const toggle = h('s-checkbox', { label: 'Show the button to shoppers', checked: settings.is_enabled,
    onchange: (/** @type {Event} */ event) => void save({ is_enabled: /** @type {HTMLInputElement} */ (event.currentTarget).checked }) });
  const days = h('s-number-field', { label: 'Keep a shopper’s figure for this many days after its last use', min: 1, max: MOST_DAYS, value: settings.retention_days,
    onchange: (/** @type {Event} */ event) => void keepFor(valueOf(event)) });
  /** Out of its limits it is said at the field and not sent. */
  const keepFor = async (/** @type {string} */ typed) => {
    const isMeant = /^\s*\d+\s*$/.test(typed) && Number(typed) >= 1 && Number(typed) <= MOST_DAYS;
    if (isMeant) {
      days.removeAttribute('error');
      await save({ retention_days: Number(typed) });
    } else {
      said.textContent = '';
      days.setAttribute('error', `1 to ${MOST_DAYS} days`);
    }
  };
  return h('div', { class: 'stack' },
    h('s-section', { heading: 'Button' }, toggle, h('s-paragraph', {}, 'Its words, shape and place are settings of the block in your theme editor.')),
    h('s-section', { heading: 'Privacy' }, days,
      h('s-paragraph', {}, 'A photo is deleted when it has been measured, at the latest after a day. You never see shoppers’ photos or bodies; you see sizes and numbers of try-ons. Shopify’s requests to show or erase a customer’s data are answered by themselves.')),
    said);
};
