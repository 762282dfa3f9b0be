// node dev/schema.mjs — for the demo: Shopify's Admin schema alone, out of a package whose other parts only tests need.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const ROOT = path.join(import.meta.dirname, '..');
const PACKAGE = '@shopify/dev-mcp';

const version = /^api_version = "([\d-]+)"/m.exec(readFileSync(path.join(ROOT, 'shopify.app.toml'), 'utf8'))?.[1];
const file = path.join('dist', 'data', `admin_${version}.json.gz`);
const wanted = path.join(ROOT, 'node_modules', PACKAGE, file);
if (!existsSync(wanted)) fetchSchema();

/** The package as the lock file names it, byte for byte; of it one file is kept. */
function fetchSchema() {
  const locked = JSON.parse(readFileSync(path.join(ROOT, 'package-lock.json'), 'utf8')).packages[`node_modules/${PACKAGE}`];
  const folder = mkdtempSync(path.join(tmpdir(), 'schema-'));
  try {
    const said = execFileSync('npm', ['pack', '--json', '--silent', '--pack-destination', folder, `${PACKAGE}@${locked.version}`], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
      maxBuffer: 10_000_000,
    });
    const archive = path.join(folder, JSON.parse(said)[0].filename);
    const integrity = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
    if (integrity !== locked.integrity) throw new Error(`${PACKAGE} is not the package that the lock file names.`);
    execFileSync('tar', ['-xzf', archive, '-C', folder, `package/${file}`]);
    mkdirSync(path.dirname(wanted), { recursive: true });
    copyFileSync(path.join(folder, 'package', file), wanted);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
