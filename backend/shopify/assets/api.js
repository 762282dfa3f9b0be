// @ts-check
/** A refusal of the service: `code` for us, `detail` for the merchant, `problems` cell by cell. */
export class Refused extends Error {
  /** @param {number} status @param {{ code?: string, detail?: string, problems?: object[] }} body */
  constructor(status, body) {
    super(body.detail ?? 'TryOn did not answer. Try again in a moment.');
    this.status = status;
    this.code = body.code ?? 'unreachable';
    /** @type {any[]} */
    this.problems = body.problems ?? [];
  }
}

/** Null for what is no JSON: a gateway's own page. @param {string} text */
const saidIn = (text) => {
  try {
    return text ? JSON.parse(text) : {};
  } catch {
    return null;
  }
};

/**
 * App Bridge adds the session token to requests of the app's own origin; where it does not, this does. A change carries a
 * key, so that a repeated request is carried out once.
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 */
export const ask = async (method, path, body) => {
  // @ts-expect-error App Bridge's global
  const token = await window.shopify.idToken();
  const headers = new Headers({ authorization: `Bearer ${token}` });
  if (method !== 'GET') headers.set('idempotency-key', crypto.randomUUID());
  if (body) headers.set('content-type', 'application/json');
  const answer = await fetch(`/admin/api${path}`, { method, headers, body: body ? JSON.stringify(body) : null }).catch(() => null);
  if (!answer) throw new Refused(0, {});
  const text = await answer.text();
  const said = saidIn(text);
  if (!answer.ok || said === null) throw new Refused(answer.status, said ?? {});
  return said;
};
