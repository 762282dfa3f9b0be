/**
 * THE MESSAGES between the store page ("shop") and this frame. Each says when it is sent and who acts.
 *
 * The store page is not trusted with anything about the shopper: no measurement, fit, token or photo is
 * in any message. It learns what it needs to follow: that the frame is ready, wants to close, or wants a
 * variant in the cart under an opaque session id that opens nothing.
 */

export const PROTOCOL_VERSION = 1;

/** One purchasable variant of the product on the page, as the theme names its options. */
export interface Variant {
  id: string;
  options: string[];
  available: boolean;
}

export type CartFailure = "sold_out" | "unavailable" | "failed";

/** Shop → frame. */
export interface ShopMessages {
  /** Answers `tryon:ready`. The frame shows itself. */
  "tryon:context": { productId: string; variantId: string; locale: string; variants: Variant[] };
  /** The shopper chose another variant on the page. The frame follows. */
  "tryon:variant": { variantId: string };
  /** The dialog is shown again. The frame resumes. */
  "tryon:opened": Record<never, never>;
  /** The dialog is hidden. The frame pauses and sends its events. */
  "tryon:closed": Record<never, never>;
  /** Answers `tryon:add-to-cart` with the same id. */
  "tryon:cart": { id: string; ok: boolean; code?: CartFailure };
  /** Answers `tryon:renew` with a fresh one-use code. */
  "tryon:code": { code: string };
}

/** Frame → shop. */
export interface FrameMessages {
  /** The frame can receive. The shop hides its status line and answers `tryon:context`. */
  "tryon:ready": Record<never, never>;
  /** A try-on of this product exists. The shop tags later cart lines with the session. */
  "tryon:session": { session: string };
  /** The shopper pressed "add to cart". The shop adds the variant and answers `tryon:cart`. */
  "tryon:add-to-cart": { id: string; variantId: string; session: string; quantity: number };
  /** The token can no longer be renewed. The shop asks for a new code and answers `tryon:code`. */
  "tryon:renew": Record<never, never>;
  /** The shopper pressed Escape inside the frame. The shop closes its dialog. */
  "tryon:close": Record<never, never>;
}

export type ShopType = keyof ShopMessages;
export type FrameType = keyof FrameMessages;
/** A message as it travels. */
export type FromShop<T extends ShopType = ShopType> = { [K in T]: { v: 1; type: K } & ShopMessages[K] }[T];
export type FromFrame<T extends FrameType = FrameType> = {
  [K in T]: { v: 1; type: K } & FrameMessages[K];
}[T];

const MAX_ID = 2 ** 53 - 1;
const MAX_VARIANTS = 2000; // Shopify allows 2,048 a product
const LOCALE = /^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$/;
const CODE = /^[\w-]{16,256}$/;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

type Fields = Record<string, unknown>;

const isText = (value: unknown, max: number): value is string =>
  typeof value === "string" && value.length > 0 && value.length <= max;
const isDecimalId = (value: unknown): value is string =>
  typeof value === "string" && /^\d{1,16}$/.test(value) && Number(value) <= MAX_ID;
const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null;

function isVariant(value: unknown): value is Variant {
  return (
    isFields(value) &&
    isDecimalId(value.id) &&
    typeof value.available === "boolean" &&
    Array.isArray(value.options) &&
    value.options.length <= 3 &&
    value.options.every((option) => isText(option, 255))
  );
}

const FORM: { [T in ShopType]: (fields: Fields) => boolean } = {
  "tryon:context": ({ productId, variantId, locale, variants }) =>
    isDecimalId(productId) &&
    isDecimalId(variantId) &&
    typeof locale === "string" &&
    LOCALE.test(locale) &&
    Array.isArray(variants) &&
    variants.length <= MAX_VARIANTS &&
    variants.every(isVariant),
  "tryon:variant": ({ variantId }) => isDecimalId(variantId),
  "tryon:opened": () => true,
  "tryon:closed": () => true,
  "tryon:cart": ({ id, ok, code }) =>
    typeof id === "string" &&
    UUID.test(id) &&
    typeof ok === "boolean" &&
    (code === undefined || code === "sold_out" || code === "unavailable" || code === "failed"),
  "tryon:code": ({ code }) => typeof code === "string" && CODE.test(code),
};

/** The message if its version, type and every field are of the right form, else null. */
export function readShopMessage(data: unknown): FromShop | null {
  if (!isFields(data) || data.v !== PROTOCOL_VERSION || typeof data.type !== "string") return null;
  if (!Object.hasOwn(FORM, data.type)) return null;
  return FORM[data.type as ShopType](data) ? (data as unknown as FromShop) : null;
}
