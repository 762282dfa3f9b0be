/**
 * node dev/bench_storefront.mjs — Lighthouse on the sample product page with the block and without it, one after the
 * other in turn, medians. Exits with 1 where the block costs more than we allow.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import * as chromeLauncher from 'chrome-launcher';
import lighthouse from 'lighthouse';
import { makeProducts } from './catalogue.mjs';
import { makeStorefront } from './storefront.mjs';

const BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const FLAGS = ['--headless=new', '--no-sandbox', '--disable-quic', '--disable-component-update', '--disable-background-networking'];
const PRODUCT_PATH = '/products/organic-cotton-tee';
const LIMITS = { points: 1, blockingMs: 20, shift: 0 };

const GARMENT = {
  name: 'Organic Cotton Tee',
  category: 't-shirt',
  shopify_product_id: 7001,
  size_chart: { sizes: { XS: {}, S: {}, M: {}, L: {}, XL: {} } },
};

/** The sample shop whose product is ready for the block, or is not. */
async function listen(isReady) {
  const products = makeProducts([GARMENT]);
  const state = { products: [], pixel: null, app_metafields: { 'tryon.enabled': isReady, 'tryon.r9': { 7001: 1 } } };
  const shopify = { state: async () => state, enter: async () => {} };
  const app = { origin: 'http://127.0.0.1:9', shop: 'sample.myshopify.com', secret: 'none' };
  const server = makeStorefront({ products: async () => products }, shopify, app);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, url: `http://127.0.0.1:${server.address().port}${PRODUCT_PATH}` };
}

/** One run in a browser of its own. */
async function measure(url, chromePath) {
  const chrome = await chromeLauncher.launch({ chromePath, chromeFlags: FLAGS, logLevel: 'silent' });
  try {
    const { lhr } = await lighthouse(url, { port: chrome.port, onlyCategories: ['performance'], logLevel: 'error' });
    const value = (audit) => lhr.audits[audit].numericValue;
    return {
      points: lhr.categories.performance.score * 100,
      blockingMs: value('total-blocking-time'),
      shift: value('cumulative-layout-shift'),
      largestPaintMs: value('largest-contentful-paint'),
      bytes: value('total-byte-weight'),
    };
  } finally {
    chrome.kill();
  }
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const medians = (runs) => Object.fromEntries(Object.keys(runs[0]).map((name) => [name, median(runs.map((run) => run[name]))]));

function print(name, runs) {
  const all = medians(runs);
  const range = (key) => `${Math.min(...runs.map((run) => run[key])).toFixed(0)}–${Math.max(...runs.map((run) => run[key])).toFixed(0)}`;
  console.log(
    `${name}  score ${all.points.toFixed(0)} (${range('points')})  blocking ${all.blockingMs.toFixed(0)} ms (${range('blockingMs')})  ` +
      `shift ${all.shift}  LCP ${all.largestPaintMs.toFixed(0)} ms (${range('largestPaintMs')})  ${all.bytes} B`,
  );
  return all;
}

const { values } = parseArgs({ options: { runs: { type: 'string', default: '9' } } });
const chromePath = process.env.CHROME_PATH ?? BROWSERS.find((file) => existsSync(file));
if (!chromePath) {
  console.error('No Chromium here; set CHROME_PATH.');
  process.exit(2);
}
const [withBlock, without] = [await listen(true), await listen(false)];
const runs = { with: [], without: [] };
for (let run = 0; run < Number(values.runs); run += 1) {
  runs.without.push(await measure(without.url, chromePath));
  runs.with.push(await measure(withBlock.url, chromePath));
}
for (const { server } of [withBlock, without]) {
  server.close();
  server.closeAllConnections();
}
console.log(`Lighthouse, mobile, ${values.runs} runs each, medians (least–most):`);
const [base, block] = [print('without', runs.without), print('with   ', runs.with)];
const cost = { points: base.points - block.points, blockingMs: block.blockingMs - base.blockingMs, shift: block.shift };
console.log(`The block costs ${cost.points.toFixed(0)} points, ${cost.blockingMs.toFixed(0)} ms of blocking, shift ${cost.shift}.`);
for (const [name, limit] of Object.entries(LIMITS)) {
  if (cost[name] > limit) {
    console.error(`${name}: more than the ${limit} that we allow.`);
    process.exitCode = 1;
  }
}
