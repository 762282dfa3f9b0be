import { type Avatar, STAGES, type Stage } from "../api/schema";
import type { Work } from "../api/work";
import { el } from "../dom";
import type { Screen } from "../page";
import type { Wording } from "../words";

const SLOW_AFTER_S = 20;

interface ProgressOptions {
  words: Wording;
  /** The size that stands whatever comes; null where none was named. */
  size: string | null;
  onLeave: () => void;
}

export interface ProgressScreen extends Screen {
  /** The photo has arrived and is being worked on. */
  follow: (work: Work) => void;
}

/** S6: the real stages in words, with time; leaving is safe. */
export function progressScreen({ words, size, onLeave }: ProgressOptions): ProgressScreen {
  const heading = el("h1", { text: words.text("progress.title") });
  const now = el("p", {
    class: "progress__now",
    attributes: { role: "status" },
    text: words.text("progress.sending"),
  });
  const elapsed = el("p", { class: "hint", attributes: { "aria-hidden": "true" } });
  const slow = el("p", { class: "hint", attributes: { role: "status" } });
  const list = new StageList(words);
  const startedMs = Date.now();
  const timer = setInterval(() => {
    const seconds = Math.floor((Date.now() - startedMs) / 1000);
    elapsed.textContent = words.text("progress.elapsed", { count: seconds });
    if (seconds >= SLOW_AFTER_S && !slow.textContent) slow.textContent = words.text("progress.slow");
  }, 1000);
  let stopFollowing = (): void => undefined;
  const element = el(
    "div",
    { class: "column progress" },
    heading,
    now,
    list.element,
    elapsed,
    slow,
    size ? el("p", { text: words.text("progress.keep", { size }) }) : null,
    el("p", { class: "hint", text: words.text("progress.leave") }),
    el("button", {
      class: "button",
      text: words.text("progress.to_size"),
      attributes: { type: "button" },
      on: { click: onLeave },
    }),
  );
  return {
    name: "progress",
    element,
    heading,
    onBack: onLeave,
    follow: (work) => {
      stopFollowing = work.subscribe((avatar) => {
        const stage = stageOf(avatar);
        list.show(stage);
        now.textContent = words.text(`progress.${stage}`);
      });
    },
    dispose: () => {
      clearInterval(timer);
      stopFollowing();
    },
  };
}

/** Waiting for a worker counts as received: that much is true. */
function stageOf({ stage }: Avatar): Stage {
  return stage ?? "received";
}

class StageList {
  readonly element: HTMLElement;
  readonly #items: Map<Stage, HTMLElement>;

  constructor(words: Wording) {
    this.#items = new Map(
      STAGES.map((stage) => [
        stage,
        el("li", { class: "stages__item", text: words.text(`progress.${stage}`) }),
      ]),
    );
    this.element = el("ol", { class: "stages" }, ...this.#items.values());
  }

  show(current: Stage): void {
    const at = STAGES.indexOf(current);
    for (const [stage, item] of this.#items) {
      const index = STAGES.indexOf(stage);
      item.dataset.state = index < at ? "done" : index === at ? "now" : "next";
      item.toggleAttribute("aria-current", false);
      if (index === at) item.setAttribute("aria-current", "step");
    }
  }
}
