import type { Api } from "./client";
import { untilNextQuestion } from "./pace";
import { ApiProblem } from "./problem";
import type { Avatar } from "./schema";

/** A body from answers alone takes some hundred milliseconds, so the first questions come soon. */
const FIRST_POLL_MS = 60;
const MAX_POLL_MS = 2000;
const POLL_GROWTH = 1.2;
/** Afterwards the shopper is told to look again later. */
const GIVE_UP_AFTER_MS = 300_000;

type Listener = (avatar: Avatar) => void;

/** One avatar job under way: polled until it settles, whoever looks at it meanwhile. */
export class Work {
  readonly startedAtMs = Date.now();
  /** The settled avatar (`ready` or `failed`); rejects with `ApiProblem`. */
  readonly done: Promise<Avatar>;
  readonly #api: Pick<Api, "readAvatar">;
  readonly #listeners = new Set<Listener>();
  #avatar: Avatar;

  constructor(api: Pick<Api, "readAvatar">, avatar: Avatar) {
    this.#api = api;
    this.#avatar = avatar;
    this.done = this.#poll();
    this.done.catch(() => undefined); // whoever awaits it hears of the failure
  }

  get avatar(): Avatar {
    return this.#avatar;
  }

  /** Told of each answer, beginning with the one at hand. Returns its unsubscribe. */
  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    listener(this.#avatar);
    return () => this.#listeners.delete(listener);
  }

  async #poll(): Promise<Avatar> {
    let waitMs = FIRST_POLL_MS;
    let askedAtMs = this.startedAtMs;
    while (!isSettled(this.#avatar)) {
      if (Date.now() - this.startedAtMs > GIVE_UP_AFTER_MS) throw new ApiProblem(0, "timeout");
      await untilNextQuestion(askedAtMs, waitMs);
      askedAtMs = Date.now();
      waitMs = Math.min(MAX_POLL_MS, waitMs * POLL_GROWTH);
      await this.#read();
    }
    return this.#avatar;
  }

  async #read(): Promise<void> {
    try {
      this.#avatar = await this.#api.readAvatar(this.#avatar.id);
      for (const listener of this.#listeners) listener(this.#avatar);
    } catch (error) {
      if (!(error instanceof ApiProblem) || !error.isTransient) throw error;
    }
  }
}

function isSettled({ status }: Avatar): boolean {
  return status === "ready" || status === "failed";
}
