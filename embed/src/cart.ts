import type { EventQueue } from "./api/events";
import type { Decision, FitResult } from "./api/schema";
import { uuidv7 } from "./api/uuid";
import { el } from "./dom";
import type { CartView } from "./fit/answer";
import { byChance, fitWords, sizeNamed } from "./fit/answer_words";
import type { Variant } from "./protocol";
import type { Shop } from "./shop";
import type { Wording } from "./words";

const ANSWER_WITHIN_MS = 15_000;

/** Only an answer that we stand behind makes this the main thing to do. */
const BUTTON_CLASS: Record<Decision, string> = {
  one: "button button--primary button--wide",
  between: "button button--wide",
  unsure: "button button--wide",
  none_fits: "button button--plain",
};

/** The product on the store page, as it told us. */
export interface Product {
  productId: string;
  variantId: string;
  variants: Variant[];
}

/** The variant of this size that shares most options (colour, length) with the one chosen on the page. */
export function variantOf(product: Product, size: string): Variant | null {
  const chosen = product.variants.find(({ id }) => id === product.variantId)?.options ?? [];
  const sizeKey = keyOf(size);
  const shared = ({ options }: Variant): number => options.filter((option, i) => option === chosen[i]).length;
  const ofSize = product.variants.filter(({ options }) =>
    options.some((option) => keyOf(option) === sizeKey),
  );
  return ofSize.sort((a, b) => shared(b) - shared(a))[0] ?? null;
}

const keyOf = (option: string): string => option.normalize("NFKC").trim().toLowerCase();

interface CartOptions {
  words: Wording;
  shop: Shop;
  events: EventQueue;
  product: Product;
  fit: FitResult;
  session: string;
  size: string;
}

/** S9: the selected size into the shop's own cart. Null where the shop sells none of these sizes. */
export function cartView(options: CartOptions): CartView | null {
  const { product, fit } = options;
  if (!fit.sizes.some(({ size }) => variantOf(product, size))) return null;
  return new Cart(options);
}

class Cart implements CartView {
  readonly element: HTMLElement;
  readonly #options: CartOptions;
  readonly #button: HTMLButtonElement;
  readonly #status = el("p", { class: "cart__status", attributes: { role: "status" } });
  #size: string;

  constructor(options: CartOptions) {
    this.#options = options;
    this.#size = options.size;
    this.#button = el("button", {
      class: BUTTON_CLASS[options.fit.decision],
      attributes: { type: "button", "data-action": "cart" },
      on: { click: () => void this.#add() },
    });
    this.element = el("div", { class: "cart" }, this.#button, this.#status);
    this.select(options.size);
  }

  select(size: string): void {
    this.#size = size;
    const { words, product } = this.#options;
    const variant = variantOf(product, size);
    this.#button.textContent = words.text("answer.add", { size });
    this.#button.disabled = !variant?.available;
    this.#status.textContent = variant?.available ? "" : this.#soldOut();
  }

  /** Never silently another size: what is left, and what it would feel like. */
  #soldOut(): string {
    const { words, product, fit } = this.#options;
    const size = this.#size;
    const other = byChance(fit).find((candidate) => {
      return candidate.size !== size && variantOf(product, candidate.size)?.available;
    });
    if (!other) return words.text("answer.sold_out", { size });
    return words.text("answer.sold_out.next", { size, other: other.size, fit: fitWords(other, words) });
  }

  async #add(): Promise<void> {
    const { words, shop, product, session } = this.#options;
    const size = this.#size;
    const variant = variantOf(product, size);
    if (!variant) return;
    this.#button.disabled = true;
    this.#status.textContent = words.text("answer.adding");
    const id = uuidv7();
    const answered = shop.next("tryon:cart", ANSWER_WITHIN_MS, (message) => message.id === id);
    shop.send("tryon:add-to-cart", { id, variantId: variant.id, session, quantity: 1 });
    const answer = await answered;
    this.#button.disabled = false;
    if (answer?.ok) this.#added(size);
    else
      this.#status.textContent =
        answer?.code === "sold_out" ? this.#soldOut() : words.text("answer.add_failed");
  }

  #added(size: string): void {
    const { words, events, fit } = this.#options;
    this.#status.textContent = words.text("answer.added", { size });
    const followed = sizeNamed(fit, fit.recommended_size)?.size === size;
    events.record("added_to_cart", { size, followed, quantity: 1 });
  }
}
