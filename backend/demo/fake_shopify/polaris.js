// @ts-check
/* Stands in for Polaris' web components, for the demo and the browser tests: the same tags and attributes, plain looks. */
(() => {
  const STYLE = `
    :host { font: inherit; } h1 { font-size: 1.25rem; margin: 0 0 1rem; } h2 { font-size: 1rem; margin: 0 0 .5rem; }
    .page { max-width: 62rem; margin: 0 auto; padding: 1.25rem; } section { padding: 1rem; background: #fff; border: 1px solid #e3e3e3; border-radius: 12px; }
    button { min-height: 32px; padding: 0 .9rem; border: 1px solid #8a8a8a; border-radius: 8px; background: #fff; color: #303030; font: inherit; font-weight: 550; cursor: pointer; }
    :host([variant=primary]) button { background: #303030; border-color: #303030; color: #fff; } :host([variant=tertiary]) button { border-color: transparent; text-decoration: underline; }
    .banner { padding: .75rem 1rem; border-radius: 12px; background: #eaf4ff; } :host([tone=critical]) .banner { background: #fee9e8; } :host([tone=warning]) .banner { background: #fff1e3; }
    .badge { display: inline-block; padding: 0 .5rem; border-radius: 8px; background: #e0f0ff; color: #00344f; white-space: nowrap; } :host([tone=success]) .badge { background: #cdfee1; color: #0c5132; }
    label { display: grid; gap: .25rem; font-weight: 450; } label.line { display: flex; align-items: center; gap: .5rem; }
    input, select, textarea { min-height: 32px; padding: 0 .5rem; border: 1px solid #8a8a8a; border-radius: 8px; font: inherit; } textarea { padding: .4rem .5rem; }
    input[type=checkbox] { min-height: 0; inline-size: 1.1rem; block-size: 1.1rem; } p { margin: 0; } .error { color: #8e1f0b; } .error:empty { display: none; } [aria-invalid=true] { border-color: #8e1f0b; } a { color: #005bd3; }`;

  /** @param {string} tag @param {(host: HTMLElement) => string} inner @param {(host: any, root: ShadowRoot) => void} [wire] */
  const define = (tag, inner, wire) => customElements.define(tag, class extends HTMLElement {
    static observedAttributes = ['error'];
    constructor() {
      super();
      this.attachShadow({ mode: 'open', delegatesFocus: true });
    }
    connectedCallback() {
      const root = /** @type {ShadowRoot} */ (this.shadowRoot);
      if (root.childNodes.length > 0) return;
      root.innerHTML = `<style>${STYLE}</style>${inner(this)}`;
      wire?.(this, root);
      showError(this, root);
    }
    attributeChangedCallback() {
      showError(this, /** @type {ShadowRoot} */ (this.shadowRoot));
    }
  });
  /** The one attribute that is followed later on. @param {HTMLElement} host @param {ShadowRoot} root */
  const showError = (host, root) => {
    const [inner, said] = [root.querySelector('input, select, textarea'), root.querySelector('.error')];
    if (!inner || !said) return;
    said.textContent = host.getAttribute('error');
    inner.setAttribute('aria-invalid', String(host.hasAttribute('error')));
    inner.setAttribute('aria-describedby', 'error');
  };
  const words = (/** @type {HTMLElement} */ host, /** @type {string} */ name) => {
    const box = document.createElement('i');
    box.textContent = host.getAttribute(name) ?? '';
    return box.innerHTML.replaceAll('"', '&quot;');
  };
  /** The inner field's value is the element's; `change` does not leave a shadow tree by itself. */
  const field = (/** @type {string} */ name) => (/** @type {any} */ host, /** @type {ShadowRoot} */ root) => {
    const inner = /** @type {any} */ (root.querySelector('input, select, textarea'));
    Object.defineProperty(host, name, { configurable: true, get: () => inner[name], set: (value) => { inner[name] = value; } });
    inner.addEventListener('change', () => host.dispatchEvent(new Event('change', { bubbles: true })));
  };

  define('s-page', (host) => `<div class="page"><h1>${words(host, 'heading')}</h1><slot></slot></div>`);
  define('s-section', (host) => `<section><h2>${words(host, 'heading')}</h2><slot></slot></section>`);
  define('s-banner', (host) => `<div class="banner" role="status"><strong>${words(host, 'heading')}</strong> <slot></slot></div>`);
  define('s-badge', () => '<span class="badge"><slot></slot></span>');
  define('s-paragraph', () => '<p><slot></slot></p>');
  define('s-button', (host) => `<button type="button"${host.hasAttribute('accessibilitylabel') ? ` aria-label="${words(host, 'accessibilitylabel')}"` : ''}><slot></slot></button>`);
  define('s-link', (host) => `<a href="${words(host, 'href')}" target="${words(host, 'target')}"><slot></slot></a>`);
  define('s-text-area', (host) => `<label>${words(host, 'label')}<textarea rows="${words(host, 'rows')}"></textarea></label>`, field('value'));
  define('s-text-field', (host) => `<label>${words(host, 'label')}<input type="text" value="${words(host, 'value')}"></label>`, field('value'));
  define('s-number-field', (host) => `<label>${words(host, 'label')}<input type="number" min="${words(host, 'min')}" max="${words(host, 'max')}" value="${words(host, 'value')}"></label><p class="error" id="error" aria-live="polite"></p>`, field('value'));
  define('s-checkbox', (host) => `<label class="line"><input type="checkbox"${host.hasAttribute('checked') ? ' checked' : ''}>${words(host, 'label')}</label>`, field('checked'));
  define('s-select', (host) => `<label>${words(host, 'label')}<select></select></label>`, (host, root) => {
    const select = /** @type {HTMLSelectElement} */ (root.querySelector('select'));
    for (const option of host.querySelectorAll('s-option')) select.add(new Option(option.textContent, option.getAttribute('value') ?? '', false, option.hasAttribute('selected')));
    field('value')(host, root);
  });
  define('s-app-nav', () => '<nav aria-label="TryOn" style="display:flex;gap:1rem;padding:.75rem 1.25rem;border-bottom:1px solid #e3e3e3;background:#fff"><slot></slot></nav>');
})();
