import {
  type FrameMessages,
  type FrameType,
  type FromShop,
  PROTOCOL_VERSION,
  readShopMessage,
  type ShopType,
} from "./protocol";

type Listener<T extends ShopType> = (message: FromShop<T>) => void;

/** What the link needs of its surroundings; a browser window fits. */
export interface Surroundings {
  self: Pick<Window, "addEventListener" | "removeEventListener">;
  parent: Pick<Window, "postMessage">;
  /** The one origin that may frame us; every message is sent to it and taken from it alone. */
  origin: string;
}

/** The store page this frame stands in. Anything from another window or origin is dropped in silence. */
export class Shop {
  readonly #surroundings: Surroundings;
  readonly #listeners = new Map<ShopType, Set<(message: FromShop) => void>>();

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
  }

  connect(): void {
    this.#surroundings.self.addEventListener("message", this.#receive);
  }

  disconnect(): void {
    this.#surroundings.self.removeEventListener("message", this.#receive);
  }

  send<T extends FrameType>(type: T, fields: FrameMessages[T]): void {
    this.#surroundings.parent.postMessage(
      { v: PROTOCOL_VERSION, type, ...fields },
      this.#surroundings.origin,
    );
  }

  /** Returns its unsubscribe. */
  on<T extends ShopType>(type: T, listener: Listener<T>): () => void {
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners);
    listeners.add(listener as (message: FromShop) => void);
    return () => listeners.delete(listener as (message: FromShop) => void);
  }

  /** Resolves with the next message of this type, or null after `timeoutMs`. */
  next<T extends ShopType>(
    type: T,
    timeoutMs: number,
    matches: (message: FromShop<T>) => boolean = () => true,
  ): Promise<FromShop<T> | null> {
    return new Promise((resolve) => {
      const stop = this.on(type, (message) => {
        if (matches(message)) end(message);
      });
      const timer = setTimeout(() => end(null), timeoutMs);
      function end(message: FromShop<T> | null): void {
        clearTimeout(timer);
        stop();
        resolve(message);
      }
    });
  }

  readonly #receive = (event: Event): void => {
    const { origin, source, data } = event as MessageEvent<unknown>;
    if (origin !== this.#surroundings.origin || source !== this.#surroundings.parent) return;
    const message = readShopMessage(data);
    if (message) for (const listener of this.#listeners.get(message.type) ?? []) listener(message);
  };
}
