import { ApiProblem } from "./problem";
import type { Avatar, ErasureReceipt, Facts, TryonSession } from "./schema";
import { type CodeSource, ShopperToken, type TokenAnswer } from "./token";

const MAX_TRIES = 4;
const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 10_000;

type Send = (address: string, init: RequestInit) => Promise<Response>;
type Sleep = (ms: number) => Promise<void>;

interface Options {
  send?: Send;
  sleep?: Sleep;
}

export interface NewPhoto {
  front: Blob;
  side: Blob | null;
  consentVersion: string;
  locale: string;
}

export interface NewSession {
  avatarId: string;
  productId: string;
}

/** The backend, as the shopper may use it. Every method is safe to repeat; all fail with `ApiProblem`. */
export class Api {
  readonly #token: ShopperToken;
  readonly #send: Send;
  readonly #sleep: Sleep;

  constructor(code: string | null, askForCode: CodeSource, options: Options = {}) {
    this.#send = options.send ?? ((address, init) => fetch(address, init));
    this.#sleep = options.sleep ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms)));
    this.#token = new ShopperToken(code, (body) => this.#exchange(body), askForCode);
  }

  /** The origin of the store page this shopper came from: the code was issued for it alone. */
  shopOrigin(): Promise<string> {
    return this.#token.origin();
  }

  createAvatar(facts: Facts): Promise<Avatar> {
    return this.#json("/v1/avatars", { method: "POST", body: toForm(facts) });
  }

  readAvatar(id: string): Promise<Avatar> {
    return this.#json(`/v1/avatars/${id}`);
  }

  addPhoto(id: string, { front, side, consentVersion, locale }: NewPhoto): Promise<Avatar> {
    const form = new FormData();
    form.set("photo", front, "front.jpg");
    if (side) form.set("photo_side", side, "side.jpg");
    form.set("consent_version", consentVersion);
    // The consent is recorded in the language it was read in.
    const headers = { "accept-language": locale };
    return this.#json(`/v1/avatars/${id}/photo`, { method: "PUT", body: form, headers });
  }

  /** A photo is about to be taken: whoever computes may warm up. Nobody waits for it, and nothing depends on it. */
  async openPhotoScreen(): Promise<void> {
    await this.#once("/v1/photo-screens", { method: "POST" }).catch(() => undefined);
  }

  deleteAvatar(id: string): Promise<ErasureReceipt> {
    return this.#json(`/v1/avatars/${id}`, { method: "DELETE" });
  }

  withdrawConsent(id: string): Promise<ErasureReceipt> {
    return this.#json(`/v1/consents/${id}`, { method: "DELETE" });
  }

  createSession({ avatarId, productId }: NewSession): Promise<TryonSession> {
    const body = { avatar_id: avatarId, shopify_product_id: Number(productId) };
    return this.#json("/v1/tryon-sessions", { method: "POST", ...jsonBody(body) });
  }

  readSession(id: string): Promise<TryonSession> {
    return this.#json(`/v1/tryon-sessions/${id}`);
  }

  selectSize(id: string, size: string): Promise<TryonSession> {
    return this.#json(`/v1/tryon-sessions/${id}`, { method: "PATCH", ...jsonBody({ selected_size: size }) });
  }

  /** One try and no retry of its own: the event queue has its own rhythm. */
  async sendEvents(events: unknown[], isLast: boolean): Promise<void> {
    const body = { events, sent_at: new Date().toISOString() };
    await this.#once("/v1/events", { method: "POST", keepalive: isLast, ...jsonBody(body) });
  }

  /** A mesh by its signed address, which is its own permission: no token goes along. */
  async readMesh(address: string): Promise<ArrayBuffer> {
    const response = await this.#send(address, { credentials: "omit" }).catch(() => {
      throw ApiProblem.offline();
    });
    if (!response.ok) throw await ApiProblem.from(response);
    return response.arrayBuffer();
  }

  async #json<T>(path: string, init: RequestInit = {}): Promise<T> {
    for (let tried = 1; ; tried += 1) {
      try {
        const response = await this.#once(path, init);
        return (await response.json()) as T;
      } catch (error) {
        const waitMs = waitBeforeNextTryMs(error, tried);
        if (waitMs === null) throw error;
        await this.#sleep(waitMs);
      }
    }
  }

  async #once(path: string, init: RequestInit): Promise<Response> {
    const token = await this.#token.get();
    const response = await this.#withToken(path, init, token);
    if (response.status !== 401) return accept(response);
    this.#token.drop(token);
    return accept(await this.#withToken(path, init, await this.#token.get()));
  }

  async #withToken(path: string, init: RequestInit, token: string): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set("authorization", `Bearer ${token}`);
    return this.#plain(path, { ...init, headers });
  }

  async #exchange(body: { code: string } | { token: string }): Promise<TokenAnswer> {
    const response = await this.#plain("/embed/token", { method: "POST", ...jsonBody(body) });
    return (await accept(response)).json() as Promise<TokenAnswer>;
  }

  async #plain(path: string, init: RequestInit): Promise<Response> {
    try {
      return await this.#send(path, { ...init, credentials: "omit" });
    } catch {
      throw ApiProblem.offline();
    }
  }
}

/** Null: another try is of no use, or would keep the shopper waiting too long. */
function waitBeforeNextTryMs(error: unknown, tried: number): number | null {
  if (!(error instanceof ApiProblem) || !error.isTransient || tried === MAX_TRIES) return null;
  const wantedMs = error.retryAfterS === null ? FIRST_WAIT_MS * 2 ** (tried - 1) : error.retryAfterS * 1000;
  return wantedMs > MAX_WAIT_MS ? null : wantedMs;
}

async function accept(response: Response): Promise<Response> {
  if (!response.ok) throw await ApiProblem.from(response);
  return response;
}

function jsonBody(body: unknown): RequestInit {
  return { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
}

function toForm({ heightCm, weightKg, sex, age, tapeCm }: Facts): FormData {
  const form = new FormData();
  form.set("height_cm", String(heightCm));
  if (weightKg !== null) form.set("weight_kg", String(weightKg));
  if (age !== null) form.set("age", String(age));
  form.set("sex", sex);
  for (const [name, value] of Object.entries(tapeCm)) form.set(`tape_${name}`, String(value));
  return form;
}
