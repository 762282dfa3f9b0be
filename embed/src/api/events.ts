import { ApiProblem } from "./problem";
import { uuidv7 } from "./uuid";

/** What the frame may tell, with its facts; the list is the E-types of `analytics/vocabulary.py`. */
export interface EventFacts {
  widget_opened: { product_id: string };
  questionnaire_started: Record<never, never>;
  questionnaire_completed: {
    optional_answers: string[];
    unit_system: "metric" | "imperial";
    duration_ms: number;
  };
  evidence_offered: { best: "photo" | "waist" | "tape" };
  photo_refused: { code: string; where: "device" | "worker" };
  view_shown: { load_ms: number; bytes: number };
  view_failed: { code: string };
  size_switched: { from: string; to: string; recommended?: string };
  added_to_cart: { size: string; followed: boolean; quantity: number };
  widget_closed: { screen: string; duration_ms: number };
  widget_error: { code: string };
}

interface QueuedEvent {
  id: string;
  type: string;
  occurred_at: string;
  session_id?: string;
  metadata: Record<string, unknown>;
}

type Deliver = (events: QueuedEvent[], isLast: boolean) => Promise<void>;

const FLUSH_AT = 20;
const FLUSH_AFTER_MS = 5000;
const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 60_000;
const MAX_KEPT = 500;
/** Browsers cap what is in flight with `keepalive` at 64 KiB. */
const MAX_BATCH_BYTES = 48_000;

/** Events in memory until the server has them. Id and time are fixed when the event happens. */
export class EventQueue {
  readonly #deliver: Deliver;
  #waiting: QueuedEvent[] = [];
  #timer: ReturnType<typeof setTimeout> | null = null;
  #isSending = false;
  #failures = 0;
  sessionId: string | null = null;

  constructor(deliver: Deliver) {
    this.#deliver = deliver;
  }

  record<T extends keyof EventFacts>(type: T, metadata: EventFacts[T]): void {
    const session = this.sessionId ? { session_id: this.sessionId } : {};
    const event = { id: uuidv7(), type, occurred_at: new Date().toISOString(), ...session, metadata };
    this.#waiting = [...this.#waiting, event].slice(-MAX_KEPT);
    if (this.#waiting.length >= FLUSH_AT) void this.flush();
    else this.#schedule(FLUSH_AFTER_MS);
  }

  /** `isLast`: the page may be gone before the answer comes. */
  async flush(isLast = false): Promise<void> {
    if (this.#isSending || this.#waiting.length === 0) return;
    this.#isSending = true;
    this.#cancel();
    const batch = takeBatch(this.#waiting);
    try {
      await this.#deliver(batch, isLast);
      this.#finish(batch);
    } catch (error) {
      if (error instanceof ApiProblem && !error.isTransient) this.#finish(batch);
      else this.#retryLater(error);
    } finally {
      this.#isSending = false;
    }
  }

  #finish(batch: QueuedEvent[]): void {
    this.#failures = 0;
    this.#waiting = this.#waiting.filter((event) => !batch.includes(event));
    if (this.#waiting.length > 0) this.#schedule(this.#waiting.length >= FLUSH_AT ? 0 : FLUSH_AFTER_MS);
  }

  #retryLater(error: unknown): void {
    const backoffMs =
      Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures) * (0.5 + Math.random() / 2);
    const wantedMs = error instanceof ApiProblem ? (error.retryAfterS ?? 0) * 1000 : 0;
    this.#failures += 1;
    this.#schedule(Math.max(backoffMs, wantedMs));
  }

  #schedule(afterMs: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      void this.flush();
    }, afterMs);
  }

  #cancel(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

function takeBatch(events: QueuedEvent[]): QueuedEvent[] {
  let bytes = 0;
  const batch = events.slice(0, FLUSH_AT * 5).filter((event) => {
    bytes += JSON.stringify(event).length;
    return bytes <= MAX_BATCH_BYTES;
  });
  return batch.length > 0 ? batch : events.slice(0, 1);
}
