import type { Api } from "../api/client";
import type { Dressed } from "../api/dressing";
import type { EventQueue } from "../api/events";
import type { Avatar } from "../api/schema";
import type { Work } from "../api/work";
import { el } from "../dom";
import { showLength, type UnitSystem } from "../fit/units";
import type { Wording } from "../words";
import { Clothes } from "./clothes";
import { placeholder } from "./placeholder";
import type { View, Viewer } from "./viewer";

const VIEWS: readonly View[] = ["front", "side", "back"];
/** Told in the text that stands for the picture. */
const SPOKEN_MEASUREMENTS: Record<string, string> = { chest_cm: "chest", waist_cm: "waist", hip_cm: "hip" };

export interface FigureOptions {
  words: Wording;
  units: UnitSystem;
  api: Pick<Api, "readMesh">;
  events: EventQueue;
  /** The avatar's mesh as it is being built. */
  build: () => Promise<Work>;
  /** Each picture of the garment on that mesh. */
  dressings: (signal: AbortSignal) => AsyncIterable<Dressed>;
  size: string | null;
  /** How a size sits, in words. */
  fitOf: (size: string) => string;
}

type State = "idle" | "building" | "loading" | "ready" | "failed";

/** S7: the shopper's figure in the garment, fetched and drawn only once it is asked for. */
export class FigurePanel {
  readonly element = el("section", { class: "figure" });
  readonly #options: FigureOptions;
  readonly #status = el("p", { class: "figure__status", attributes: { role: "status" } });
  #viewer: Viewer | null = null;
  #clothes: Clothes | null = null;
  #canvas: HTMLCanvasElement | null = null;
  #avatar: Avatar | null = null;
  #view: View = "front";
  #size: string | null;
  #isDisposed = false;

  constructor(options: FigureOptions) {
    this.#options = options;
    this.#size = options.size;
    this.#offer();
  }

  async open(): Promise<void> {
    const startedMs = performance.now();
    this.#showState("building");
    void loadViewer().catch(() => undefined); // while the figure is built; whoever needs it hears of a failure
    try {
      const work = await this.#options.build();
      const stop = work.subscribe((avatar) => this.#sayStage(avatar));
      const avatar = await work.done.finally(stop);
      if (!avatar.glb_url) throw new Error("no mesh");
      await this.#load(avatar, avatar.glb_url, startedMs);
    } catch (error) {
      if (!this.#isDisposed)
        this.#fail(error instanceof ViewerUnavailable ? error.code : "figure_unavailable");
    }
  }

  /** Another size, in the next picture. */
  showSize(size: string): void {
    this.#size = size;
    this.#clothes?.show(size);
  }

  /** The server knows of another size: its picture follows. */
  async follow(): Promise<void> {
    await this.#clothes?.follow();
  }

  dispose(): void {
    this.#isDisposed = true;
    this.#undress();
  }

  #undress(): void {
    this.#clothes?.dispose();
    this.#clothes = null;
    this.#viewer?.dispose();
    this.#viewer = null;
  }

  #offer(): void {
    const { words } = this.#options;
    const button = el("button", {
      class: "button",
      text: words.text("more.figure"),
      attributes: { type: "button", "data-action": "figure" },
      on: { click: () => void this.open() },
    });
    this.element.dataset.state = "idle" satisfies State;
    this.element.replaceChildren(
      placeholder(),
      el("div", { class: "figure__offer" }, el("p", { text: words.text("viewer.lead") }), button),
    );
  }

  #showState(state: State): void {
    this.element.dataset.state = state;
    if (state === "building") {
      this.#status.textContent = this.#options.words.text("progress.title.figure");
      this.element.replaceChildren(placeholder(), this.#status);
    }
  }

  #sayStage({ stage }: Avatar): void {
    if (stage) this.#status.textContent = this.#options.words.text(`progress.${stage}`);
  }

  async #load(avatar: Avatar, address: string, startedMs: number): Promise<void> {
    this.#showState("loading");
    const clothes = this.#makeClothes();
    const followed = clothes.follow(); // the garment is made and fetched while the figure is
    const [bytes, { openViewer }] = await Promise.all([this.#options.api.readMesh(address), loadViewer()]);
    if (this.#isDisposed) return;
    const canvas = this.#stage(avatar, clothes);
    const isMotionReduced = matchMedia("(prefers-reduced-motion: reduce)").matches;
    try {
      const onLost = (): void => this.#fail("context_lost");
      this.#viewer = await openViewer(bytes, { canvas, isMotionReduced, onLost });
    } catch {
      throw new ViewerUnavailable("no_webgl");
    }
    this.#showState("ready");
    const loadMs = Math.round(performance.now() - startedMs);
    this.#options.events.record("view_shown", { load_ms: loadMs, bytes: bytes.byteLength });
    await clothes.attach(this.#viewer);
    await followed;
  }

  #makeClothes(): Clothes {
    const { words, units, api, dressings } = this.#options;
    const onChange = (): void => this.#label();
    this.#clothes = new Clothes({ words, units, api, dressings, size: this.#size, onChange });
    return this.#clothes;
  }

  #stage(avatar: Avatar, clothes: Clothes): HTMLCanvasElement {
    const { words } = this.#options;
    const canvas = el("canvas", { class: "figure__canvas", attributes: { tabindex: 0, role: "img" } });
    [this.#canvas, this.#avatar, this.#view] = [canvas, avatar, "front"];
    this.#label();
    const views = VIEWS.map((view) => this.#viewButton(view));
    this.element.replaceChildren(
      el("h2", { class: "visually-hidden", text: words.text("viewer.title") }),
      canvas,
      el(
        "div",
        { class: "figure__views", attributes: { role: "group", "aria-label": words.text("viewer.view") } },
        ...views,
      ),
      clothes.element,
      el("p", { class: "hint figure__keys", text: words.text("viewer.keys") }),
    );
    return canvas;
  }

  #viewButton(view: View): HTMLButtonElement {
    return el("button", {
      class: "button button--small",
      text: this.#options.words.text(`viewer.${view}`),
      attributes: { type: "button", "data-view": view },
      on: {
        click: () => {
          this.#viewer?.show(view);
          this.#view = view;
          this.#label();
        },
      },
    });
  }

  /** The picture in words, and for whoever tests it. */
  #label(): void {
    if (!this.#canvas || !this.#avatar) return;
    const { words, fitOf } = this.#options;
    const size = this.#clothes?.shownSize ?? null;
    const worn = size === null ? "" : ` ${words.text("viewer.wearing", { size, fit: fitOf(size) })}`;
    this.#canvas.setAttribute("aria-label", `${this.#describe(this.#avatar, this.#view)}${worn}`);
    this.element.dataset.dressing = this.#clothes?.dressing ?? "none";
    this.element.dataset.size = size ?? "";
  }

  #describe(avatar: Avatar, view: View): string {
    const { words, units } = this.#options;
    const measurements = Object.entries(SPOKEN_MEASUREMENTS).flatMap(([name, region]) => {
      const measured = avatar.measurements[name];
      if (!measured) return [];
      const said = {
        name: words.find("region", region) ?? region,
        value: showLength(measured.mean, units, words),
      };
      return [words.text("viewer.measurement", said)];
    });
    const seen = words.text(`viewer.${view}`).toLocaleLowerCase(words.tag);
    return words.text("viewer.label", {
      view: seen,
      measurements: `${words.capital(words.list(measurements))}.`,
    });
  }

  #fail(code: string): void {
    const { words, events } = this.#options;
    this.#undress();
    this.element.dataset.state = "failed" satisfies State;
    const text = words.text(code === "figure_unavailable" ? "error.figure_down" : "viewer.fallback");
    const again = el("button", {
      class: "button button--small",
      text: words.text("app.retry"),
      attributes: { type: "button" },
      on: { click: () => void this.open() },
    });
    this.element.replaceChildren(
      placeholder(),
      el("p", { class: "figure__status", text, attributes: { role: "status" } }),
      again,
    );
    events.record("view_failed", { code });
  }
}

const loadViewer = (): Promise<typeof import("./viewer")> => import("./viewer");

class ViewerUnavailable extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}
