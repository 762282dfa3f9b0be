import { el } from "../dom";
import type { Screen } from "../page";
import type { Wording, WordKey } from "../words";

interface ConsentOptions {
  words: Wording;
  onAgree: () => void;
  onDecline: () => void;
}

const PARTS = ["what", "why", "who", "until", "never"] as const;

/** S4: what happens with a photo, and a box that nobody ticked beforehand. */
export function consentScreen({ words, onAgree, onDecline }: ConsentOptions): Screen {
  const heading = el("h1", { text: words.text("consent.title") });
  const rows = PARTS.flatMap((part) => [
    el("dt", { text: words.text(`consent.${part}.title` as WordKey) }),
    el("dd", { text: words.text(`consent.${part}` as WordKey) }),
  ]);
  const box = el("input", {
    class: "check__box",
    attributes: { type: "checkbox", name: "consent", required: true },
    on: {
      change: () => {
        go.disabled = !box.checked;
      },
    },
  });
  const go = el("button", {
    class: "button button--primary button--wide",
    text: words.text("consent.continue"),
    attributes: { type: "submit", disabled: true },
  });
  const form = el(
    "form",
    {
      class: "form",
      on: {
        submit: (event) => {
          event.preventDefault();
          if (box.checked) onAgree();
        },
      },
    },
    el("label", { class: "check" }, box, el("span", { text: words.text("consent.box") })),
    go,
    el("button", {
      class: "button button--plain",
      text: words.text("consent.decline"),
      attributes: { type: "button" },
      on: { click: onDecline },
    }),
  );
  const element = el("div", { class: "column" }, heading, el("dl", { class: "terms" }, ...rows), form);
  return { name: "consent", element, heading, onBack: onDecline };
}
