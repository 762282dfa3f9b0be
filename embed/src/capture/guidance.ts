import { el, svg } from "../dom";
import type { Wording, WordKey } from "../words";

/** The figure of the drawings, standing on y = 92 in a frame of 80 × 100. */
function person(x: number, scale = 1): SVGElement {
  return svg(
    "g",
    { transform: `translate(${x} ${92 - 80 * scale}) scale(${scale})`, class: "guide__person" },
    svg("circle", { cx: 0, cy: 8, r: 7 }),
    svg("path", { d: "M-9 18h18l2 26-3 36h-6l-1-32h-2l-1 32h-6l-3-36z" }),
    svg("path", { class: "guide__limb", d: "M-10 20l-8 24M10 20l8 24" }),
  );
}

const coat = (): SVGElement =>
  svg("path", { class: "guide__coat", d: "M29 29h22l13 44H16zM29 30L15 60M51 30l14 30" });
const phone = (): SVGElement =>
  svg(
    "g",
    { class: "guide__phone" },
    svg("rect", { x: 8, y: 44, width: 9, height: 16, rx: 2 }),
    svg("path", { d: "M20 50h12M20 54h12" }),
  );

interface Drawing {
  text: WordKey;
  isGood: boolean;
  parts: () => SVGElement[];
}

const DRAWINGS: readonly Drawing[] = [
  { text: "photo.do.whole", isGood: true, parts: () => [person(40)] },
  {
    text: "photo.do.clothes",
    isGood: true,
    parts: () => [person(40), svg("path", { class: "guide__fit", d: "M31 30h18l2 24H29z" })],
  },
  { text: "photo.do.phone", isGood: true, parts: () => [phone(), person(54, 0.8)] },
  { text: "photo.dont.cut", isGood: false, parts: () => [person(40, 1.35)] },
  { text: "photo.dont.loose", isGood: false, parts: () => [person(40), coat()] },
  { text: "photo.dont.people", isGood: false, parts: () => [person(26, 0.85), person(56, 0.85)] },
];

/** How to stand: three pictures of what works and three of what does not. */
export function guidance(words: Wording): HTMLElement {
  const items = DRAWINGS.map(({ text, isGood, parts }) =>
    el(
      "li",
      { class: isGood ? "guide__item" : "guide__item guide__item--bad" },
      drawing(parts(), isGood),
      el("span", { class: "visually-hidden", text: `${words.text(isGood ? "photo.do" : "photo.dont")}: ` }),
      el("span", { text: words.text(text) }),
    ),
  );
  return el("ul", { class: "guide", attributes: { "aria-label": words.text("photo.guide") } }, ...items);
}

function drawing(parts: SVGElement[], isGood: boolean): Element {
  const mark = isGood ? "M62 14l4 4 7-8" : "M63.5 9.5l8 8M71.5 9.5l-8 8";
  return svg(
    "svg",
    { class: "guide__drawing", viewBox: "0 0 80 100", "aria-hidden": "true", focusable: "false" },
    ...parts,
    svg("circle", { class: "guide__badge", cx: 67.5, cy: 13.5, r: 8.5 }),
    svg("path", { class: "guide__mark", d: mark }),
  );
}

/** What to stand in, over the camera's picture. */
export function outline(): SVGElement {
  return svg(
    "svg",
    { class: "camera__outline", viewBox: "0 0 90 160", "aria-hidden": "true", focusable: "false" },
    svg("circle", { cx: 45, cy: 20, r: 9 }),
    svg("path", {
      d: "M36 32h18c6 1 9 5 10 10l8 42-5 1-9-32-2 24 3 66h-9l-4-60h-2l-4 60h-9l3-66-2-24-9 32-5-1 8-42c1-5 4-9 10-10z",
    }),
  );
}
