import type { FitResult, SizeFit, Verdict } from "../api/schema";
import { el, newId } from "../dom";
import type { Wording } from "../words";
import { chance, easeWords, fitWords, hasChances, regionName } from "./answer_words";
import type { UnitSystem } from "./units";

const VERDICTS: readonly Verdict[] = ["too_tight", "snug", "regular", "loose", "too_loose"];
const TENTHS = 10;

/** S8: the sizes of the chart in their order, as radio buttons; the likely one is badged. */
export function sizePicker(
  fit: FitResult,
  selected: string | null,
  words: Wording,
  onPick: (size: string) => void,
): HTMLElement {
  const name = newId("size");
  const options = fit.sizes.map((size) => {
    const isLikely = size.size === fit.recommended_size || (fit.between?.includes(size.size) ?? false);
    const input = el("input", {
      class: "choice__input",
      attributes: { type: "radio", name, value: size.size, checked: size.size === selected },
      on: { change: () => onPick(size.size) },
    });
    const label = el(
      "span",
      { class: "size__face" },
      el("span", { class: "size__name", text: size.size }),
      ...(hasChances(fit) ? chanceOf(size, words) : []),
      isLikely ? el("span", { class: "size__badge", text: words.text("answer.recommended") }) : null,
    );
    return el("label", { class: "size" }, input, label);
  });
  return el(
    "fieldset",
    { class: "sizes" },
    el("legend", { class: "section-title", text: words.text("answer.sizes") }),
    el("div", { class: "sizes__options" }, ...options),
  );
}

/** A bar, and its words for those who cannot see it. */
function chanceOf({ probability }: SizeFit, words: Wording): HTMLElement[] {
  const said = el("span", { class: "visually-hidden", text: chance(probability, words) });
  return [tenthsBar(probability), said];
}

/** A probability as a bar of ten steps. */
function tenthsBar(probability: number): HTMLElement {
  const bar = el("span", { class: "tenths", attributes: { "aria-hidden": "true" } });
  bar.style.setProperty("--filled", String(Math.round(probability * TENTHS) / TENTHS));
  return bar;
}

/** Ten figures of which some are filled: "about 7 in 10". */
export function tenthsRow(probability: number): HTMLElement {
  const filled = Math.round(probability * TENTHS);
  const dots = Array.from({ length: TENTHS }, (_, index) =>
    el("span", { class: index < filled ? "dot dot--filled" : "dot" }),
  );
  return el("span", { class: "dots", attributes: { "aria-hidden": "true" } }, ...dots);
}

/** How one size sits: a line for each region, as words, as a range, and as a place on five steps. */
export function regionList(size: SizeFit, units: UnitSystem, words: Wording): HTMLElement {
  const rows = size.regions.map((region) =>
    el(
      "li",
      { class: "region" },
      el("span", { class: "region__name", text: words.capital(regionName(region.region, words)) }),
      el("span", { class: "region__verdict", text: words.text(`verdict.${region.verdict}`) }),
      verdictScale(region.verdict),
      el("span", { class: "region__ease", text: easeWords(region, units, words) }),
    ),
  );
  return el("ul", { class: "regions" }, ...rows);
}

function verdictScale(verdict: Verdict): HTMLElement {
  const steps = VERDICTS.map((step) =>
    el("span", { class: step === verdict ? `scale__step scale__step--${step}` : "scale__step" }),
  );
  return el("span", { class: "scale", attributes: { "aria-hidden": "true" } }, ...steps);
}

/** Regions × sizes: everything the pictures hold, as a table. */
export function sizeTable(fit: FitResult, words: Wording): HTMLElement {
  const head = el(
    "tr",
    {},
    ...(hasChances(fit) ? (["answer.size", "answer.chance"] as const) : (["answer.size"] as const)).map(
      (key) => el("th", { text: words.text(key), attributes: { scope: "col" } }),
    ),
    ...regionsOf(fit).map((region) =>
      el("th", { text: words.capital(regionName(region, words)), attributes: { scope: "col" } }),
    ),
  );
  const rows = fit.sizes.map((size) => tableRow(size, fit, words));
  const table = el(
    "table",
    { class: "table" },
    el("caption", { class: "visually-hidden", text: words.text("answer.table") }),
    el("thead", {}, head),
    el("tbody", {}, ...rows),
  );
  // Wider than a small screen: scrolls in its own box, which the keyboard can reach.
  const label = words.text("answer.table");
  return el(
    "div",
    { class: "table-box", attributes: { tabindex: 0, role: "region", "aria-label": label } },
    table,
  );
}

function tableRow(size: SizeFit, fit: FitResult, words: Wording): HTMLElement {
  const cells = regionsOf(fit).map((region) => {
    const verdict = size.regions.find((candidate) => candidate.region === region)?.verdict;
    return el("td", { text: verdict ? words.text(`verdict.${verdict}`) : "–" });
  });
  return el(
    "tr",
    {},
    el("th", { text: size.size, attributes: { scope: "row" } }),
    hasChances(fit) ? el("td", { text: chance(size.probability, words) }) : null,
    ...cells,
  );
}

export function regionsOf(fit: FitResult): string[] {
  return [...new Set(fit.sizes.flatMap(({ regions }) => regions.map(({ region }) => region)))];
}

/** "L selected: waist loose." */
export function selectionWords(size: SizeFit, words: Wording): string {
  return words.text("answer.selected", { size: size.size, fit: fitWords(size, words) });
}
