/**
 * node dev/cli/build.mjs — builds block and pixel with Shopify's own tool, in a copy and without the network.
 * It says only that they can be built: the tool exits with 0 even where Theme Check has errors, so pass and fail
 * are decided by `npm run check`.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const ROOT = path.join(import.meta.dirname, '..', '..');
const CLI = path.join(import.meta.dirname, 'node_modules', '@shopify', 'cli', 'bin', 'run.js');
const PIXEL_PACKAGE = path.join('node_modules', '@shopify', 'web-pixels-extension');
const BUILT = path.join('extensions', 'tryon-pixel', 'dist', 'tryon-pixel.js');
const BUILD_WITHIN_MS = 180_000;

if (!existsSync(CLI)) {
  console.error('The Shopify CLI is not installed here, so nothing was built; `make shopify-build` installs it.');
  process.exit(2);
}
const folder = mkdtempSync(path.join(tmpdir(), 'app-'));
try {
  for (const name of ['shopify.app.toml', 'package.json', 'extensions', PIXEL_PACKAGE]) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    cpSync(path.join(ROOT, name), path.join(folder, name), { recursive: true });
  }
  const build = [process.execPath, CLI, 'app', 'build', '--path', folder, '--skip-dependencies-installation'];
  // A network namespace of its own, where the system lets us have one.
  const isolated = spawnSync('unshare', ['-rn', 'true']).status === 0;
  const [command, ...args] = isolated ? ['unshare', '-rn', ...build] : build;
  const { status } = spawnSync(command, args, {
    cwd: folder,
    env: { ...process.env, CI: '1', NO_COLOR: '1', SHOPIFY_CLI_NO_ANALYTICS: '1' },
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: BUILD_WITHIN_MS,
  });
  const isBuilt = status === 0 && existsSync(path.join(folder, BUILT));
  const size = isBuilt ? `, pixel ${statSync(path.join(folder, BUILT)).size} B` : '';
  console.log(isBuilt ? `Built${isolated ? ' without network' : ''}${size}.` : 'The build failed.');
  process.exitCode = isBuilt ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
