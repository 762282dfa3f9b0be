/** After a slow answer, too, the line and this page's other work have a moment. */
const LEAST_PAUSE_MS = 20;

/**
 * Until it is time to ask again, `waitMs` after the last question: an answer that lay about while the page was busy,
 * drawing a figure perhaps, is old when it is read, and its pause is over.
 */
export function untilNextQuestion(askedAtMs: number, waitMs: number): Promise<void> {
  const pauseMs = Math.max(LEAST_PAUSE_MS, waitMs - (Date.now() - askedAtMs));
  return new Promise((resolve) => setTimeout(resolve, pauseMs));
}
