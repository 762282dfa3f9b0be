import type { Api } from "./client";
import { untilNextQuestion } from "./pace";
import { ApiProblem } from "./problem";
import type { TryonSession } from "./schema";

/** The first picture takes some hundred milliseconds, so the first questions come soon. */
const FIRST_POLL_MS = 60;
const POLL_GROWTH = 1.12;
const MAX_POLL_MS = 1000;
/** A picture that has not come by then is not waited for; the one before stays. */
const GIVE_UP_AFTER_MS = 60_000;
/** The order for a picture follows the figure; before that the server knows of none. */
const ORDERED_WITHIN_MS = 3000;

/** One picture of the garment on the figure, first a draft, then the final one. */
export interface Dressed {
  dressing: "draft" | "final";
  glbUrl: string;
  /** The same as long as the picture is, whoever signed its address. */
  path: string;
}

/** Each picture as it comes. Ends with the final one, or when none (further) is to be expected. */
export async function* dressings(
  api: Pick<Api, "readSession">,
  sessionId: string,
  signal: AbortSignal,
): AsyncGenerator<Dressed> {
  const startedMs = Date.now();
  let waitMs = FIRST_POLL_MS;
  let shown = "";
  while (!signal.aborted) {
    const askedAtMs = Date.now();
    const session = await readOnce(api, sessionId);
    const dressed = session && pictureOf(session);
    if (dressed && dressed.dressing + dressed.path !== shown) {
      shown = dressed.dressing + dressed.path;
      yield dressed;
    }
    if (session && isSettled(session, Date.now() - startedMs)) return;
    if (Date.now() - startedMs > GIVE_UP_AFTER_MS) return;
    await untilNextQuestion(askedAtMs, waitMs);
    waitMs = Math.min(MAX_POLL_MS, waitMs * POLL_GROWTH);
  }
}

/** Null: the answer did not come this time. */
async function readOnce(api: Pick<Api, "readSession">, id: string): Promise<TryonSession | null> {
  try {
    return await api.readSession(id);
  } catch (error) {
    if (error instanceof ApiProblem && error.isTransient) return null;
    throw error;
  }
}

function isSettled({ dressing, is_dressing, dressing_error }: TryonSession, waitedMs: number): boolean {
  if (is_dressing) return false;
  return dressing !== null || dressing_error !== null || waitedMs > ORDERED_WITHIN_MS;
}

function pictureOf({ dressing, garment_glb_url }: TryonSession): Dressed | null {
  if (dressing === null || dressing === "queued" || garment_glb_url === null) return null;
  return { dressing, glbUrl: garment_glb_url, path: garment_glb_url.split("?")[0] ?? "" };
}
