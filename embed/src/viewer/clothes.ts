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

interface Picture {
  dressing: Dressed["dressing"];
  path: string;
  bytes: ArrayBuffer;
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
  /** May come before the figure does. */
  #latest: Picture | null = null;
  #wearing = Promise.resolve();
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

  /** Fetches each picture until the last one, and puts it on the figure that is or will be there. */
  async follow(): Promise<void> {
    this.#stop.abort();
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    this.#isWaiting = true;
    try {
      for await (const dressed of this.#options.dressings(signal)) await this.#take(dressed, signal);
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
    }
    if (signal.aborted) return;
    this.#isWaiting = false;
    this.#say();
  }

  /** The figure has been drawn. It wears at once what came before it. */
  async attach(viewer: Viewer): Promise<void> {
    this.#viewer = viewer;
    await this.#wear();
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

  async #take({ dressing, glbUrl, path }: Dressed, signal: AbortSignal): Promise<void> {
    const bytes = path === this.#latest?.path ? this.#latest.bytes : await this.#options.api.readMesh(glbUrl);
    if (signal.aborted) return;
    this.#latest = { dressing, path, bytes };
    await this.#wear();
  }

  /** One after the other: a draft that takes long to read must not come over the final picture. */
  #wear(): Promise<void> {
    this.#wearing = this.#wearing.then(() => this.#wearLatest());
    return this.#wearing;
  }

  /** What cannot be read leaves the picture before. */
  async #wearLatest(): Promise<void> {
    const [viewer, latest] = [this.#viewer, this.#latest];
    if (!viewer || !latest) return;
    if (latest.path !== this.#path) {
      const isOn = await viewer.dress(latest.bytes, this.#size).then(
        () => true,
        () => false,
      );
      if (!isOn || this.#viewer !== viewer) return;
      this.#path = latest.path;
    }
    this.#dressing = latest.dressing;
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
    // Nothing more comes, and the figure, which is there, has nothing on.
    if (this.#viewer && !this.#isWaiting && this.#dressing === "queued") this.#dressing = "none";
    this.#status.textContent = this.#statusText(words);
    onChange();
  }

  #statusText(words: Wording): string {
    const [dressing, size] = [this.#dressing, this.#size];
    if (dressing === "queued" || dressing === "none") return words.text(`viewer.dressing.${dressing}`);
    if (size === null || this.#isSizeShown)
      return dressing === "draft" && this.#isWaiting ? words.text("viewer.dressing.draft") : "";
    if (this.#viewer?.isTooSmall(size)) return words.text("viewer.size_missing", { size });
    // The draft has only the size it was made for; the others come with the next picture.
    return words.text(this.#isWaiting ? "viewer.dressing.queued" : "viewer.dressing.none");
  }
}

/** What the colours mean, and beside the figure's legs, where it is seen with them, a bar of them. */
function heatLegend(words: Wording, units: UnitSystem): HTMLElement {
  const bar = el("span", { class: "clothes__bar" });
  bar.style.background = heatGradient("to top");
  const marks = HEAT_STOPS.map(({ easeCm }) => {
    const mark = el("span", { text: showLength(easeCm, units, words) });
    mark.style.bottom = `${heatPlacePercent(easeCm)}%`;
    return mark;
  });
  return el(
    "div",
    { class: "clothes__legend", attributes: { hidden: true } },
    el("p", { class: "hint", text: words.text("viewer.heat.meaning") }),
    el(
      "div",
      { class: "clothes__scale", attributes: { "aria-hidden": "true" } },
      bar,
      el("div", { class: "clothes__marks" }, ...marks),
    ),
  );
}
