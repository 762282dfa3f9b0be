import "./style/page.css";
import "./style/form.css";
import "./style/answer.css";
import "./style/capture.css";
import { Api } from "./api/client";
import { EventQueue } from "./api/events";
import { ApiProblem } from "./api/problem";
import { takeCode } from "./code";
import { el } from "./dom";
import { Flow } from "./flow";
import { problemWords } from "./problem_words";
import type { FromShop } from "./protocol";
import { Shop } from "./shop";
import { regionalTag, Wording } from "./words";

/** A store page that does not answer in this time never will. */
const CONTEXT_WITHIN_MS = 10_000;
const NEW_CODE_WITHIN_MS = 15_000;

/** Token, then handshake, then show: nothing is drawn for a page that is not the shop's own. */
async function boot(root: HTMLElement): Promise<void> {
  if (window.parent === window) return stop(root, (words) => words.text("app.open_from_shop"));
  let shop: Shop | null = null;
  const api = new Api(takeCode(window), async () => (shop ? askForCode(shop) : null));
  try {
    shop = new Shop({ self: window, parent: window.parent, origin: await api.shopOrigin() });
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    return stop(root, (words) => problemWords(error, words));
  }
  shop.connect();
  const answered = shop.next("tryon:context", CONTEXT_WITHIN_MS);
  shop.send("tryon:ready", {});
  const context = await answered;
  if (!context) return stop(root, (words) => words.text("app.open_from_shop"));
  await show(root, api, shop, context);
}

async function show(
  root: HTMLElement,
  api: Api,
  shop: Shop,
  context: FromShop<"tryon:context">,
): Promise<void> {
  const words = await Wording.load(regionalTag(context.locale, navigator.languages));
  document.documentElement.lang = words.tag;
  document.title = words.text("app.title");
  const events = new EventQueue((batch, isLast) => api.sendEvents(batch, isLast));
  const { productId, variantId, variants } = context;
  const product = { productId, variantId, variants };
  shop.on("tryon:variant", (message) => {
    product.variantId = message.variantId;
  });
  const flow = new Flow({ root, words, api, shop, events, product });
  shop.on("tryon:opened", () => flow.opened());
  shop.on("tryon:closed", () => flow.closed());
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented && !document.querySelector("dialog[open]")) {
      shop.send("tryon:close", {});
    }
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") void events.flush(true);
  });
  const report = (): void => events.record("widget_error", { code: "unhandled" });
  window.addEventListener("error", report);
  window.addEventListener("unhandledrejection", report);
  flow.start();
}

async function askForCode(shop: Shop): Promise<string | null> {
  const answered = shop.next("tryon:code", NEW_CODE_WITHIN_MS);
  shop.send("tryon:renew", {});
  return (await answered)?.code ?? null;
}

async function stop(root: HTMLElement, sentence: (words: Wording) => string): Promise<void> {
  const words = await Wording.load(navigator.language);
  document.documentElement.lang = words.tag;
  root.replaceChildren(
    el("main", { class: "stopped" }, el("p", { text: sentence(words), attributes: { role: "alert" } })),
  );
}

const root = document.getElementById("app");
if (root) void boot(root);
