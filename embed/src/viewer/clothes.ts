import type { Api } from "../api/client";
import type { Dressed } from "../api/dressing";
import { ApiProblem } from "../api/problem";
import type { Dressing } from "../api/schema";
import { el } from "../dom";
import { showLength, type UnitSystem } from "../fit/units";
import type { Wording } from "../words";
import { HEAT_STOPS, heatGradient, heatPlacePercent } from "./heat";
import type { Viewer } from "./viewer";

export interface ClothesOptions {
  words: Wording;
  units: UnitSystem;
  api: Pick<Api, "readMesh">;
  /** Each picture of the garment as it comes, the draft first. */
  dressings: (signal: AbortSignal) => AsyncIterable<Dressed>;
  size: string | null;
  /** A picture was swapped or its state changed. */
  onChange: () => void;
}

/** What the figure wears: the pictures as they come, the size that is shown, and its colours. */
export class Clothes {
  /** The state of the picture in words, and the switch of the colours. */
  readonly element = el("div", { class: "clothes" });
  readonly #options: ClothesOptions;
  #stop = new AbortController();
  readonly #status = el("p", { class: "hint clothes__status", attributes: { role: "status" } });
  readonly #legend: HTMLElement;
  readonly #heat: HTMLButtonElement;
  #viewer: Viewer | null = null;
  /** Of the picture that is on. */
  #path = "";
  #isWaiting = true;
  #size: string | null;
  #dressing: Dressing | "none" = "queued";
  #isSizeShown = false;

  constructor(options: ClothesOptions) {
    this.#options = options;
    this.#size = options.size;
    this.#legend = heatLegend(options.words, options.units);
    this.#heat = el("button", {
      class: "button button--small",
      text: options.words.text("viewer.heat"),
      attributes: { type: "button", "data-action": "heat", "aria-pressed": "false", hidden: true },
      on: { click: () => this.#switchHeat() },
    });
    this.element.append(this.#status, this.#heat, this.#legend);
    this.#say();
  }

  get dressing(): Dressing | "none" {
    return this.#dressing;
  }

  /** The size that is drawn; null while the figure wears nothing of the shop. */
  get shownSize(): string | null {
    return this.#isSizeShown ? this.#size : null;
  }

  /** Dresses the figure with each picture until the last one. What goes wrong leaves the picture before. */
  async follow(viewer: Viewer): Promise<void> {
    this.#viewer = viewer;
    this.#stop.abort();
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    this.#isWaiting = true;
    try {
      for await (const dressed of this.#options.dressings(signal)) await this.#wear(viewer, dressed, signal);
    } catch (error) {
      if (!(error instanceof ApiProblem || error instanceof UnreadableGarment)) throw error;
    }
    if (signal.aborted) return;
    this.#isWaiting = false;
    if (this.#dressing === "queued") this.#dressing = "none";
    this.#say();
  }

  show(size: string): void {
    this.#size = size;
    if (this.#isDressed) this.#isSizeShown = this.#viewer?.showSize(size) ?? false;
    this.#say();
  }

  dispose(): void {
    this.#stop.abort();
    this.#viewer = null;
  }

  get #isDressed(): boolean {
    return this.#dressing === "draft" || this.#dressing === "final";
  }

  async #wear(viewer: Viewer, { dressing, glbUrl, path }: Dressed, signal: AbortSignal): Promise<void> {
    if (path !== this.#path) {
      const bytes = await this.#options.api.readMesh(glbUrl);
      if (signal.aborted) return;
      await viewer.dress(bytes, this.#size).catch(() => {
        throw new UnreadableGarment();
      });
      this.#path = path;
    }
    this.#dressing = dressing;
    this.#isSizeShown = this.#size !== null && viewer.showSize(this.#size);
    this.#heat.hidden = false;
    this.#say();
  }

  #switchHeat(): void {
    const isOn = this.#heat.getAttribute("aria-pressed") !== "true";
    this.#heat.setAttribute("aria-pressed", String(isOn));
    this.#legend.hidden = !isOn;
    this.#viewer?.showHeat(isOn);
  }

  #say(): void {
    const { words, onChange } = this.#options;
    const isMissing = this.#isDressed && !this.#isSizeShown && this.#size !== null;
    if (isMissing) this.#status.textContent = words.text("viewer.size_missing", { size: this.#size ?? "" });
    else if (this.#dressing === "final" || (this.#isDressed && !this.#isWaiting))
      this.#status.textContent = "";
    else this.#status.textContent = words.text(`viewer.dressing.${this.#dressing}`);
    onChange();
  }
}

class UnreadableGarment extends Error {}

/** A bar of the colours with the room that each end and the middle mean. */
function heatLegend(words: Wording, units: UnitSystem): HTMLElement {
  const bar = el("span", { class: "clothes__bar", attributes: { "aria-hidden": "true" } });
  bar.style.background = heatGradient("to right");
  const marks = HEAT_STOPS.map(({ easeCm }) => {
    const mark = el("span", { text: showLength(easeCm, units, words) });
    mark.style.left = `${heatPlacePercent(easeCm)}%`;
    return mark;
  });
  return el(
    "div",
    { class: "clothes__legend", attributes: { hidden: true } },
    el("p", { class: "hint", text: words.text("viewer.heat.meaning") }),
    bar,
    el("div", { class: "clothes__marks", attributes: { "aria-hidden": "true" } }, ...marks),
  );
}
