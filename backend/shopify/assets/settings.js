// @ts-check
import { ask, Refused } from './api.js';
import { h, valueOf } from './dom.js';

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
  const days = h('s-number-field', { label: 'Keep a shopper’s figure for this many days after its last use', min: 1, max: 365, value: settings.retention_days,
    onchange: (/** @type {Event} */ event) => void save({ retention_days: Number(valueOf(event)) }) });
  return h('div', { class: 'stack' },
    h('s-section', { heading: 'Button' }, toggle, h('s-paragraph', {}, 'Its words, shape and place are settings of the block in your theme editor.')),
    h('s-section', { heading: 'Privacy' }, days,
      h('s-paragraph', {}, 'A photo is deleted when it has been measured, at the latest after a day. You never see shoppers’ photos or bodies; you see sizes and numbers of try-ons. Shopify’s requests to show or erase a customer’s data are answered by themselves.')),
    said);
};
