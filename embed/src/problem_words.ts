import type { ApiProblem } from "./api/problem";
import { LIMITS } from "./fit/validation";
import type { Wording, WordKey } from "./words";

/** Codes of the API that have their own sentence. */
const BY_CODE: Record<string, WordKey> = {
  offline: "error.offline",
  timeout: "progress.slow",
  session_ended: "error.ended",
  unauthorized: "error.ended",
  garment_not_found: "error.not_ready",
  not_ready: "error.not_ready",
  invalid_height: "invalid.number",
  invalid_weight: "invalid.number",
  invalid_age: "invalid.age",
  invalid_tape: "invalid.number",
};

/** Our own sentence for a problem; what the server wrote is never shown. */
export function problemWords(problem: ApiProblem, words: Wording): string {
  const known = BY_CODE[problem.code];
  if (known) return words.text(known, known === "invalid.age" ? LIMITS.AGE_RANGE : {});
  if (problem.status === 401) return words.text("error.ended");
  if (problem.status === 429 || problem.status === 503) return words.text("error.busy");
  return words.text("error.unexpected");
}
