/** The one-use code of the address, which is taken out of it so that it stays in no history. */
export function takeCode(view: Window): string | null {
  const code = new URLSearchParams(view.location.hash.slice(1)).get("c");
  if (code) view.history.replaceState(null, "", view.location.pathname + view.location.search);
  return code;
}
