/** The files that Shopify itself adds to a storefront, and our pixel as it is loaded into their sandbox. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

const FOLDER = path.join(import.meta.dirname, 'platform');
const PIXEL = path.join(import.meta.dirname, '..', 'extensions', 'tryon-pixel', 'src', 'index.js');
const OWN = ['manager.js', 'sandbox.js', 'register.js'];

/** A script by its name; undefined where there is none. */
export function platformScript(name) {
  if (OWN.includes(name)) return readFileSync(path.join(FOLDER, name), 'utf8');
  if (name !== 'tryon-pixel.js') return undefined;
  // Shopify bundles the package; here its one function has an address.
  return readFileSync(PIXEL, 'utf8').replace("'@shopify/web-pixels-extension'", "'/web-pixels/register.js'");
}
