import { el } from "./dom";
import type { Wording } from "./words";

export type ScreenName =
  | "questions"
  | "answer"
  | "consent"
  | "photo"
  | "camera"
  | "progress"
  | "data"
  | "stopped";

/** What fills the page. `heading` takes the focus, so that a screen reader begins there. */
export interface Screen {
  name: ScreenName;
  element: HTMLElement;
  heading: HTMLElement;
  /** A field to begin at instead, brought into view. */
  begin?: HTMLElement | undefined;
  /** Where "back" leads, if anywhere. */
  onBack?: (() => void) | undefined;
  dispose?: () => void;
}

interface PageActions {
  onMyData: () => void;
}

/** Header, one screen at a time, and one line that is read aloud. */
export class Page {
  readonly #main = el("main", { class: "page__main" });
  readonly #status = el("p", { class: "visually-hidden", attributes: { role: "status" } });
  readonly #back: HTMLButtonElement;
  readonly #myData: HTMLButtonElement;
  #screen: Screen | null = null;

  constructor(root: HTMLElement, words: Wording, { onMyData }: PageActions) {
    this.#back = el("button", {
      class: "button button--plain page__back",
      text: words.text("app.back"),
      attributes: { type: "button", hidden: true },
      on: { click: () => this.#screen?.onBack?.() },
    });
    this.#myData = el("button", {
      class: "button button--plain",
      text: words.text("app.mydata"),
      attributes: { type: "button" },
      on: { click: onMyData },
    });
    const header = el("header", { class: "page__header" }, this.#back, this.#myData);
    root.replaceChildren(header, this.#main, this.#status);
  }

  get screenName(): ScreenName | "none" {
    return this.#screen?.name ?? "none";
  }

  show(screen: Screen): void {
    this.#screen?.dispose?.();
    this.#screen = screen;
    this.#back.hidden = !screen.onBack;
    this.#myData.hidden = screen.name === "data" || screen.name === "stopped";
    this.#main.dataset.screen = screen.name;
    this.#main.replaceChildren(screen.element);
    this.#main.scrollTop = 0;
    screen.heading.tabIndex = -1;
    (screen.begin ?? screen.heading).focus({ preventScroll: true });
    screen.begin?.scrollIntoView({ block: "center" });
  }

  /** Read aloud by screen readers, shown nowhere. */
  announce(text: string): void {
    this.#status.textContent = text;
  }
}
