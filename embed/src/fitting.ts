import type { Api } from "./api/client";
import { type Dressed, dressings } from "./api/dressing";
import type { EventQueue } from "./api/events";
import { ApiProblem } from "./api/problem";
import type { Avatar, ErasureReceipt, Facts, FitResult, TapeName, TryonSession } from "./api/schema";
import { Work } from "./api/work";
import { firstSize } from "./fit/answer_words";

/** The text a shopper agrees to before a photo; the server knows the same version. */
export const CONSENT_VERSION = "1";

/** An answer and the body it was made from. */
export interface Answer {
  avatar: Avatar;
  session: TryonSession;
}

export type PhotoOutcome =
  | { kind: "measured"; before: Answer; now: Answer }
  | { kind: "refused"; code: string }
  | { kind: "unavailable"; code: string };

/** One shopper and one product: what was answered so far. Knows the API and no screen. */
export class Fitting {
  readonly #api: Api;
  readonly #events: EventQueue;
  readonly #productId: string;
  facts: Facts | null = null;
  answer: Answer | null = null;
  selectedSize: string | null = null;
  /** Photos refused so far; after two nobody is pushed any further. */
  refusals = 0;
  hasConsented = false;
  /** The photo being measured, if one is. */
  photoWork: Work | null = null;

  constructor(api: Api, events: EventQueue, productId: string) {
    this.#api = api;
    this.#events = events;
    this.#productId = productId;
  }

  get fit(): FitResult | null {
    return this.answer?.session.fit_result ?? null;
  }

  /** What the shopper measured. */
  get taped(): TapeName[] {
    return Object.keys(this.facts?.tapeCm ?? {}) as TapeName[];
  }

  /** From the typed facts to a size. */
  async submit(facts: Facts): Promise<Answer> {
    const avatar = await this.#api.createAvatar(facts);
    const session = await this.#api.createSession({ avatarId: avatar.id, productId: this.#productId });
    this.facts = facts;
    this.answer = { avatar, session };
    this.selectedSize = firstSize(session.fit_result);
    this.#events.sessionId = session.id;
    return this.answer;
  }

  /** Seen at once; the server hears of it, and when it does not nothing is lost. False: it did not hear. */
  async selectSize(size: string): Promise<boolean> {
    const { answer, selectedSize } = this;
    if (!answer || size === selectedSize) return false;
    const recommended = answer.session.fit_result.recommended_size;
    const advice = recommended ? { recommended } : {};
    if (selectedSize) this.#events.record("size_switched", { from: selectedSize, to: size, ...advice });
    this.selectedSize = size;
    return this.#api.selectSize(answer.session.id, size).then(
      () => true,
      () => false,
    );
  }

  /** Send photos and wait until they are measured; the answer stays usable meanwhile. */
  async measurePhoto(
    front: Blob,
    side: Blob | null,
    locale: string,
    onStart: (work: Work) => void,
  ): Promise<PhotoOutcome> {
    const before = this.answer;
    if (!before) throw new Error("a photo without an answer");
    try {
      const sent = await this.#api.addPhoto(before.avatar.id, {
        front,
        side,
        consentVersion: CONSENT_VERSION,
        locale,
      });
      this.photoWork = new Work(this.#api, sent);
      onStart(this.photoWork);
      const avatar = await this.photoWork.done;
      if (avatar.error) return this.#settleError(avatar.error.code);
      return { kind: "measured", before, now: await this.#reread(avatar) };
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
      return this.#settleError(error.code);
    } finally {
      this.photoWork = null;
    }
  }

  /** The avatar's mesh as it is being built; `ready` may be at once. */
  async buildFigure(): Promise<Work> {
    if (!this.answer) throw new Error("a figure without an answer");
    return new Work(this.#api, await this.#api.readAvatar(this.answer.avatar.id));
  }

  /** The garment on that mesh, as its pictures come. */
  dressings(signal: AbortSignal): AsyncIterable<Dressed> {
    if (!this.answer) throw new Error("a garment without an answer");
    return dressings(this.#api, this.answer.session.id, signal);
  }

  /** What the last photo rests on, if there was one. */
  get consentId(): string | null {
    return this.answer?.avatar.consent_id ?? null;
  }

  async erase(): Promise<ErasureReceipt> {
    if (!this.answer) throw new Error("nothing to erase");
    const receipt = await this.#api.deleteAvatar(this.answer.avatar.id);
    this.#forget();
    return receipt;
  }

  /** Ends the consent and erases what rested on it. */
  async withdrawConsent(): Promise<ErasureReceipt> {
    if (!this.consentId) throw new Error("no consent to withdraw");
    const receipt = await this.#api.withdrawConsent(this.consentId);
    this.#forget();
    return receipt;
  }

  async #reread(avatar: Avatar): Promise<Answer> {
    const id = this.answer?.session.id ?? "";
    const session = await this.#api.readSession(id);
    this.answer = { avatar, session };
    this.selectedSize = firstSize(session.fit_result);
    return this.answer;
  }

  /** A refusal is the photo's; anything else is ours and counts against nobody, a photo we did not come to either. */
  #settleError(code: string): PhotoOutcome {
    if (!code.startsWith("photo_")) return { kind: "unavailable", code };
    if (code !== "photo_gone") this.refusals += 1;
    return { kind: "refused", code };
  }

  #forget(): void {
    this.facts = null;
    this.answer = null;
    this.selectedSize = null;
    this.refusals = 0;
    this.hasConsented = false;
    this.#events.sessionId = null;
  }
}
