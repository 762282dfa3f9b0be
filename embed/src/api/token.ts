import { ApiProblem } from "./problem";

/** Renewed this long before it runs out. */
const RENEWAL_LEAD_MS = 60_000;

export interface TokenAnswer {
  token: string;
  /** The one page origin that the frame may talk to. */
  origin: string;
}

/** Exchanges a one-use code, or an older token, for a token. */
export type TokenExchange = (body: { code: string } | { token: string }) => Promise<TokenAnswer>;
/** Asks the store page for a fresh one-use code; null when it gives none. */
export type CodeSource = () => Promise<string | null>;

/** The shopper's token: in memory only, renewed unseen, at most one exchange under way. */
export class ShopperToken {
  readonly #exchange: TokenExchange;
  readonly #askForCode: CodeSource;
  #token: string | null = null;
  #expiresAtMs = 0;
  #origin: string | null = null;
  #code: string | null;
  #pending: Promise<string> | null = null;

  constructor(code: string | null, exchange: TokenExchange, askForCode: CodeSource) {
    this.#code = code;
    this.#exchange = exchange;
    this.#askForCode = askForCode;
  }

  async get(): Promise<string> {
    if (this.#token && Date.now() < this.#expiresAtMs - RENEWAL_LEAD_MS) return this.#token;
    return this.#renewOnce();
  }

  /** Known once the first code was exchanged. */
  async origin(): Promise<string> {
    if (!this.#origin) await this.get();
    return this.#origin ?? "";
  }

  /** After a 401: what is held is worth nothing; only a new code helps. */
  drop(token: string): void {
    if (this.#token === token) this.#token = null;
  }

  #renewOnce(): Promise<string> {
    this.#pending ??= this.#renew().finally(() => {
      this.#pending = null;
    });
    return this.#pending;
  }

  async #renew(): Promise<string> {
    if (this.#token && Date.now() < this.#expiresAtMs) {
      try {
        return this.#keep(await this.#exchange({ token: this.#token }));
      } catch (error) {
        if (!(error instanceof ApiProblem) || error.isTransient) throw error;
        this.#token = null;
      }
    }
    return this.#keep(await this.#exchange({ code: await this.#takeCode() }));
  }

  async #takeCode(): Promise<string> {
    const code = this.#code ?? (await this.#askForCode());
    this.#code = null;
    if (!code) throw new ApiProblem(401, "session_ended");
    return code;
  }

  #keep(answer: TokenAnswer): string {
    this.#token = answer.token;
    this.#expiresAtMs = Date.now() + lifetimeMs(answer.token);
    this.#origin = answer.origin;
    return answer.token;
  }
}

/** From the token's own two times, so that a device with a wrong clock renews at the right moment. */
function lifetimeMs(token: string): number {
  const payload = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
  const { iat, exp } = JSON.parse(atob(payload)) as { iat: number; exp: number };
  return (exp - iat) * 1000;
}
