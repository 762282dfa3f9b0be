/* The strict sandbox: no page, a storage that answers later, and one function for the pixel to begin with. */
const handlers = new Map();
const waitingFor = new Map();
let begun = Promise.resolve();

const getItem = (key) =>
  new Promise((resolve) => {
    const id = crypto.randomUUID();
    waitingFor.set(id, resolve);
    postMessage({ id, key });
  });

async function begin(settings) {
  const analytics = { subscribe: (name, handler) => handlers.set(name, handler) };
  const api = { analytics, browser: { sessionStorage: { getItem } }, settings, init: {} };
  globalThis.shopify = { extend: (_, run) => run(api) };
  await import('/web-pixels/tryon-pixel.js');
}

onmessage = ({ data: { settings, event, id, value } }) => {
  if (settings) begun = begin(settings);
  else if (event) begun.then(() => handlers.get(event.name)?.(event));
  else waitingFor.get(id)?.(value);
};
