/** The one error of the API: RFC 9457 problem details, or what stood in their way (`offline`). */
export class ApiProblem extends Error {
  readonly status: number;
  /** Stable and in snake_case; the words shown come from our own strings by this code. */
  readonly code: string;
  /** The field of the request that is meant, by its wire name. */
  readonly field: string | null;
  readonly retryAfterS: number | null;

  constructor(status: number, code: string, field: string | null = null, retryAfterS: number | null = null) {
    super(`${code} (${status})`);
    this.name = "ApiProblem";
    this.status = status;
    this.code = code;
    this.field = field;
    this.retryAfterS = retryAfterS;
  }

  static offline(): ApiProblem {
    return new ApiProblem(0, "offline");
  }

  static async from(response: Response): Promise<ApiProblem> {
    const body = await response.json().catch(() => ({}));
    const facts = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
    const code = typeof facts.code === "string" ? facts.code : `http_${response.status}`;
    const field = typeof facts.field === "string" ? facts.field : null;
    return new ApiProblem(response.status, code, field, readRetryAfterS(response));
  }

  /** Worth sending the same request again: the fault is not in it. */
  get isTransient(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

function readRetryAfterS(response: Response): number | null {
  const header = response.headers.get("retry-after");
  if (!header) return null;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, seconds);
  const until = Date.parse(header);
  return Number.isNaN(until) ? null : Math.max(0, (until - Date.now()) / 1000);
}
