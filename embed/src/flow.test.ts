import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Api } from "./api/client";
import { EventQueue } from "./api/events";
import type { Avatar, FitResult } from "./api/schema";
import { Flow } from "./flow";
import { en } from "./locales/en";
import { Shop } from "./shop";
import { Wording } from "./words";

const SESSION = "0190b8f0-1111-7000-8000-000000000001";
const TOKEN = `h.${btoa(JSON.stringify({ iat: 0, exp: 900 }))}.s`;

const resultOf = (likely: string, waistVerdict: "regular" | "snug" = "regular"): FitResult => ({
  decision: "one",
  recommended_size: likely,
  between: null,
  confidence: 0.7,
  measure_next: null,
  notes: ["region_missing:hip"],
  sizes: ["S", "M", "L"].map((size) => ({
    size,
    probability: size === likely ? 0.7 : 0.15,
    regions: [{ region: "waist", ease_cm: 5, sd: 2, verdict: waistVerdict }],
  })),
});

const avatarOf = (facts: Partial<Avatar> = {}): Avatar => ({
  id: "a1",
  status: "pending",
  stage: null,
  measurements: { waist_natural_cm: { mean: 84, sd: 4 } },
  evidence: ["height", "weight"],
  glb_url: null,
  error: null,
  flags: [],
  consent_id: null,
  ...facts,
});

/** The backend as one shopper meets it; `avatar` and `fit` are what is read next. */
class Backend {
  avatar = avatarOf();
  fit = resultOf("M");
  refuseFacts: { code: string; status: number } | null = null;
  readonly calls: string[] = [];

  readonly send = async (path: string, init: RequestInit): Promise<Response> => {
    if (path === "/embed/token") return Response.json({ token: TOKEN, origin: "https://shop.example" });
    this.calls.push(`${init.method ?? "GET"} ${path}`);
    if (path === "/v1/avatars" && this.refuseFacts) {
      const { code, status } = this.refuseFacts;
      return Response.json({ code }, { status });
    }
    if (path.startsWith("/v1/tryon-sessions")) {
      const picture = { dressing: null, garment_glb_url: null, is_dressing: false, dressing_error: null };
      const session = { id: SESSION, garment_id: "g1", selected_size: null, fit_result: this.fit };
      return Response.json({ ...session, ...picture });
    }
    if (init.method === "DELETE") {
      const done_at = "2026-11-21T12:00:00Z";
      return Response.json({
        id: "e1",
        requested_at: done_at,
        done_at,
        receipts: [{}],
        not_covered: "backups",
      });
    }
    return Response.json(this.avatar);
  };
}

interface Stage {
  flow: Flow;
  backend: Backend;
  root: HTMLElement;
  toShop: unknown[];
  recorded: { type: string; metadata: unknown }[];
}

/** A frame in which a shopper stands before the questions. */
function open(): Stage {
  const backend = new Backend();
  const toShop: unknown[] = [];
  const parent = { postMessage: (message: unknown) => toShop.push(message) } as unknown as Window;
  const shop = new Shop({
    self: new EventTarget() as unknown as Window,
    parent,
    origin: "https://shop.example",
  });
  const api = new Api("code", async () => null, { send: backend.send, sleep: async () => undefined });
  const recorded: Stage["recorded"] = [];
  const events = new EventQueue(async (batch) => void recorded.push(...batch));
  const root = document.createElement("div");
  document.body.replaceChildren(root);
  const variants = [
    { id: "7", options: ["Chalk", "M"], available: true },
    { id: "8", options: ["Chalk", "L"], available: false },
  ];
  const product = { productId: "7001", variantId: "7", variants };
  const flow = new Flow({ root, words: new Wording("en-GB", en), api, shop, events, product });
  flow.start();
  return { flow, backend, root, toShop, recorded };
}

function find<T extends HTMLElement>(root: HTMLElement, selector: string): T {
  const found = root.querySelector<T>(selector);
  if (!found) throw new Error(`nothing at ${selector}`);
  return found;
}

function type(root: HTMLElement, index: number, text: string): void {
  const input = root.querySelectorAll<HTMLInputElement>("input[type=text]")[index];
  if (!input) throw new Error("no such field");
  input.value = text;
  input.dispatchEvent(new Event("input", { bubbles: true }));
}

const submit = (root: HTMLElement): void => {
  find(root, "form").dispatchEvent(new Event("submit", { bubbles: true, cancelable: true }));
};

async function answerQuestions(root: HTMLElement): Promise<void> {
  type(root, 0, "178");
  type(root, 1, "74");
  submit(root);
  await vi.advanceTimersByTimeAsync(0);
  await vi.waitFor(() => find(root, ".answer"));
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe("from the questions to the size", () => {
  it("asks nothing of the server before the shopper presses", async () => {
    const { root, backend } = open();
    type(root, 0, "178");
    await vi.advanceTimersByTimeAsync(1000);
    expect(backend.calls).toEqual([]);
  });

  it("takes two requests and says size, chance and fit in words", async () => {
    const { root, backend } = open();
    await answerQuestions(root);
    expect(backend.calls).toEqual(["POST /v1/avatars", "POST /v1/tryon-sessions"]);
    const card = find(root, ".answer__card").textContent ?? "";
    expect(find(root, ".answer__size").textContent).toBe("M");
    expect(card).toContain("About 7 in 10");
    expect(card).toContain("Waist regular.");
    expect(card).toContain("The shop gives no hip width");
  });

  it("keeps what was typed when the server says no, and says why in our words", async () => {
    const { root, backend } = open();
    backend.refuseFacts = { code: "invalid_age", status: 422 };
    type(root, 0, "178");
    submit(root);
    await vi.advanceTimersByTimeAsync(0);
    await vi.waitFor(() => expect(root.textContent).toContain("between 16 and 80; you can leave it empty"));
    expect(find<HTMLInputElement>(root, "input[type=text]").value).toBe("178");
    expect(find<HTMLButtonElement>(root, "button[type=submit]").disabled).toBe(false);
  });

  it("does not send a height that is probably in feet", () => {
    const { root, backend } = open();
    type(root, 0, "5.8");
    submit(root);
    expect(root.textContent).toContain("Feet? 5 ft 8 in is 173 cm.");
    expect(backend.calls).toEqual([]);
  });

  it("tells the store page the session and nothing about the body", async () => {
    const { root, toShop } = open();
    await answerQuestions(root);
    expect(toShop).toEqual([{ v: 1, type: "tryon:session", session: SESSION }]);
  });
});

describe("an answer without a size", () => {
  const tightEverywhere = (): FitResult => ({
    ...resultOf("M"),
    decision: "none_fits",
    recommended_size: null,
    sizes: ["S", "M"].map((size, index) => ({
      size,
      probability: index,
      regions: [{ region: "waist", ease_cm: index - 9, sd: 1, verdict: "too_tight" }],
    })),
  });
  const unsure = (measure_next: string | null, region: string): FitResult => ({
    ...resultOf("M"),
    decision: "unsure",
    recommended_size: null,
    measure_next,
    sizes: ["S", "M"].map((size) => ({
      size,
      probability: 0.5,
      regions: [{ region, ease_cm: 4, sd: 3, verdict: "regular" }],
    })),
  });
  const answeredWith = async (fit: FitResult): Promise<Stage> => {
    const stage = open();
    stage.backend.fit = fit;
    await answerQuestions(stage.root);
    return stage;
  };

  it("shows no chance of a size that does not fit, and pushes none into the cart", async () => {
    const { root } = await answeredWith(tightEverywhere());
    expect(root.querySelector(".tenths, .dots")).toBeNull();
    expect(root.textContent).not.toMatch(/ in 10(?! people with your answers)/);
    expect(find(root, ".table").textContent).not.toContain("Chance");
    expect(root.textContent).not.toContain("A photo is unlikely to change your size.");
    expect(find(root, "[data-action=cart]").className).toBe("button button--plain");
  });

  it("asks for the measurement that would help, and begins there", async () => {
    const { root, recorded } = await answeredWith(unsure("hip_cm", "hip"));
    const ask = find(root, "[data-action=tape]");
    expect(ask.textContent).toBe("Enter my hip");
    expect(root.textContent).not.toContain("waist");
    let scrolledTo: Element | null = null;
    Element.prototype.scrollIntoView = function scrollIntoView() {
      scrolledTo = this;
    };
    ask.click();
    const field = find<HTMLInputElement>(root, "input[name=hip_cm]");
    expect(document.activeElement).toBe(field);
    expect(scrolledTo).toBe(field);
    expect(field.closest("details")?.open).toBe(true);
    expect(root.textContent).not.toContain("helps most");
    await vi.advanceTimersByTimeAsync(5000);
    expect(recorded.find(({ type: name }) => name === "evidence_offered")?.metadata).toEqual({
      best: "tape",
    });
  });

  it("has a field for whatever the server may ask, which others do not see", async () => {
    const { root } = await answeredWith(unsure("thigh_cm", "thigh"));
    expect(root.textContent).toContain("Thigh: this measurement would help most.");
    const ask = find(root, "[data-action=tape]");
    expect(ask.textContent).toBe("Enter my thigh");
    ask.click();
    expect(document.activeElement).toBe(find(root, "input[name=thigh_cm]"));
    expect(root.querySelector("input[name=upper_arm_cm]")).toBeNull();
  });

  it("offers no waist where the chart has none", async () => {
    const { root } = await answeredWith(unsure(null, "thigh"));
    expect(root.querySelector("[data-action=tape]")).toBeNull();
    expect(root.textContent).toContain("You are close to a border. A photo would help.");
  });

  it("asks for the chart's waist by the field that we have", async () => {
    const { root } = await answeredWith(unsure("waist_natural_cm", "waist"));
    expect(find(root, "[data-action=tape]").textContent).toBe("Enter my waist");
    expect(root.textContent).toContain("A photo, or your waist, would help.");
  });
});

describe("another size", () => {
  it("shows at once how it sits, tells the server, and records the switch", async () => {
    const { root, backend, recorded } = open();
    await answerQuestions(root);
    find(root, "input[value=L]").dispatchEvent(new Event("change", { bubbles: true }));
    expect(find(root, ".answer__detail").textContent).toContain("How L sits");
    expect(find(root, "[role=status]").textContent).not.toBeNull();
    expect(find<HTMLButtonElement>(root, "[data-action=cart]").disabled).toBe(true);
    expect(root.textContent).toContain("L is sold out. M would feel like this: waist regular.");
    await vi.advanceTimersByTimeAsync(5000);
    expect(backend.calls).toContain(`PATCH /v1/tryon-sessions/${SESSION}`);
    const switched = recorded.find(({ type: name }) => name === "size_switched");
    expect(switched?.metadata).toEqual({ from: "M", to: "L", recommended: "M" });
  });
});

describe("a photo", () => {
  it("is asked about only until it is part of the answer", async () => {
    const asked = open();
    await answerQuestions(asked.root);
    expect(asked.root.textContent).toContain("Would a photo help?");
    const measured = open();
    measured.backend.avatar = avatarOf({ evidence: ["height", "weight", "photo"] });
    await answerQuestions(measured.root);
    expect(measured.root.textContent).toContain("Your photo is now part of the answer.");
    expect(measured.root.textContent).not.toContain("Would a photo help?");
  });

  it("needs a box that nobody ticked beforehand", async () => {
    const { root } = open();
    await answerQuestions(root);
    find(root, "[data-action=photo]").click();
    const box = find<HTMLInputElement>(root, "[name=consent]");
    expect(box.checked).toBe(false);
    submit(root);
    expect(root.querySelector("[name=consent]")).not.toBeNull();
    box.checked = true;
    submit(root);
    expect(find(root, "h1").textContent).toBe("Your photo");
  });

  it("is announced once its screen opens, and not before", async () => {
    const { root, backend } = open();
    await answerQuestions(root);
    find(root, "[data-action=photo]").click();
    expect(backend.calls).not.toContain("POST /v1/photo-screens");
    find<HTMLInputElement>(root, "[name=consent]").checked = true;
    submit(root);
    await vi.waitFor(() => expect(backend.calls).toContain("POST /v1/photo-screens"));
  });
});

describe("a consent", () => {
  it("is withdrawn in words of its own", async () => {
    const { root, backend } = open();
    backend.avatar = avatarOf({ consent_id: "c1" });
    await answerQuestions(root);
    find(root, ".page__header button:last-child").click();
    find(root, "[data-action=withdraw]").click();
    const dialog = find(root, "dialog[open]");
    expect(dialog.textContent).toContain("Withdraw your consent to the photo?");
    expect(dialog.getAttribute("aria-label")).toBe("Withdraw my consent to the photo");
    const yes = find(dialog, "[data-action=confirm]");
    expect(yes.textContent).toBe("Yes, withdraw my consent");
    yes.click();
    await vi.advanceTimersByTimeAsync(0);
    await vi.waitFor(() => expect(backend.calls).toContain("DELETE /v1/consents/c1"));
    expect(backend.calls).not.toContain("DELETE /v1/avatars/a1");
  });
});

describe("my data", () => {
  it("speaks of this visit alone when it stored nothing: earlier ones may have", () => {
    const { root } = open();
    find(root, ".page__header button:last-child").click();
    expect(root.textContent).toContain("Nothing of yours is stored in this visit.");
  });

  it("gives way to the answer when the dialog is opened again", async () => {
    const { flow, root } = open();
    await answerQuestions(root);
    find(root, ".page__header button:last-child").click();
    flow.closed();
    flow.opened();
    expect(find(root, ".answer__size").textContent).toBe("M");
  });

  it("is deleted after one confirmation, with a receipt, and the flow begins anew", async () => {
    const { root, backend } = open();
    await answerQuestions(root);
    find(root, ".page__header button:last-child").click();
    find(root, "[data-action=delete]").click();
    expect(backend.calls).not.toContain("DELETE /v1/avatars/a1");
    find(root, "[data-action=confirm]").click();
    await vi.advanceTimersByTimeAsync(0);
    await vi.waitFor(() => expect(root.textContent).toMatch(/Deleted at/));
    expect(backend.calls).toContain("DELETE /v1/avatars/a1");
    find(root, ".button--primary").click();
    expect(find(root, "h1").textContent).toBe("Three questions, then your size");
    expect(find<HTMLInputElement>(root, "input[type=text]").value).toBe("");
  });
});
