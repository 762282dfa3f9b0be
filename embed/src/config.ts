/** What the server wrote into the page: which origins may frame it. */
export interface PageConfig {
  origins: string[];
}

export function readConfig(page: Document): PageConfig {
  const parsed: unknown = JSON.parse(page.getElementById("tryon-config")?.textContent || "{}");
  const origins = (parsed as { origins?: unknown }).origins;
  return { origins: Array.isArray(origins) ? origins.filter((origin) => typeof origin === "string") : [] };
}

/**
 * The origin of the page that holds this frame, if it is one of `origins`; null when opened by itself or
 * framed by a stranger. Browsers without `ancestorOrigins` (Firefox) tell it by the referrer, which
 * the block asks for with `strict-origin-when-cross-origin`.
 */
export function findShopOrigin(view: Window, origins: string[]): string | null {
  if (view.parent === view) return null;
  const said = view.location.ancestorOrigins?.[0] ?? originOf(view.document.referrer);
  return said && origins.includes(said) ? said : null;
}

/** The one-use code of the address, which is taken out of it so that it stays in no history. */
export function takeCode(view: Window): string | null {
  const code = new URLSearchParams(view.location.hash.slice(1)).get("c");
  if (code) view.history.replaceState(null, "", view.location.pathname + view.location.search);
  return code;
}

function originOf(address: string): string | null {
  return URL.canParse(address) ? new URL(address).origin : null;
}
