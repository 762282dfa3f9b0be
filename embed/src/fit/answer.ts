import type { Avatar, FitResult, TapeName } from "../api/schema";
import { el } from "../dom";
import type { Screen } from "../page";
import type { Wording } from "../words";
import { chance, headline, sizeNamed } from "./answer_words";
import { moreHelp } from "./more_help";
import { regionList, selectionWords, sizePicker, sizeTable, tenthsRow } from "./sizes";
import type { UnitSystem } from "./units";

interface AnswerOptions {
  words: Wording;
  units: UnitSystem;
  avatar: Avatar;
  fit: FitResult;
  selectedSize: string | null;
  /** What the shopper measured already. */
  taped: readonly TapeName[];
  /** What new evidence changed; null at first. */
  news: string[];
  /** The figure, in whatever state it is. */
  figure: HTMLElement;
  /** Puts the selected size into the cart; null where the shop sells no such variant. */
  cart: CartView | null;
  onPick: (size: string) => void;
  onPhoto: () => void;
  onTape: (name: TapeName) => void;
  onChange: () => void;
  announce: (text: string) => void;
}

export interface CartView {
  element: HTMLElement;
  select: (size: string) => void;
}

/** S2, S3 and S8: the answer in words first, then the sizes, then what would make it surer. */
export function answerScreen(options: AnswerOptions): Screen {
  const { words, fit, news, figure, cart } = options;
  const heading = el("h1", { class: "answer__title" });
  const detail = el("div", { class: "answer__detail" });
  const show = (size: string | null): void => showSize(detail, size, options);
  show(options.selectedSize);
  const pick = (size: string): void => {
    options.onPick(size);
    cart?.select(size);
    show(size);
    const picked = sizeNamed(fit, size);
    if (picked) options.announce(selectionWords(picked, words));
  };
  const change = el("button", {
    class: "button button--plain",
    text: words.text("answer.change"),
    attributes: { type: "button" },
    on: { click: options.onChange },
  });
  const facts = el(
    "div",
    { class: "answer__facts" },
    ...news.map((text) => el("p", { class: "news", text })),
    answerCard(options, heading),
    sizePicker(fit, options.selectedSize, words, pick),
    detail,
    cart?.element,
  );
  const rest = el("div", { class: "answer__rest" }, help(options), why(options), change);
  const element = el("div", { class: "answer" }, facts, el("div", { class: "answer__figure" }, figure), rest);
  return { name: "answer", element, heading };
}

function answerCard({ words, fit }: AnswerOptions, heading: HTMLElement): HTMLElement {
  const { state, title, sizes, sentences } = headline(fit, words);
  heading.textContent = title;
  const named = sizeNamed(fit, fit.recommended_size);
  const sure = named
    ? el(
        "p",
        { class: "answer__chance" },
        tenthsRow(named.probability),
        el("span", { text: words.capital(chance(named.probability, words)) }),
      )
    : null;
  return el(
    "section",
    { class: "answer__card", attributes: { "data-state": state } },
    heading,
    sizes ? el("p", { class: "answer__size", text: sizes, attributes: { "data-size": sizes } }) : null,
    sure,
    ...sentences.map((text) => el("p", { text })),
    ...noteTexts(fit, words).map((text) => el("p", { class: "hint", text })),
  );
}

function showSize(detail: HTMLElement, name: string | null, { fit, units, words }: AnswerOptions): void {
  const size = sizeNamed(fit, name);
  detail.replaceChildren();
  if (!size) return;
  detail.append(
    el("h2", { class: "section-title", text: words.text("answer.your_fit", { size: size.size }) }),
    regionList(size, units, words),
  );
}

function help({ fit, avatar, taped, words, onPhoto, onTape }: AnswerOptions): HTMLElement {
  return moreHelp({ fit, evidence: avatar.evidence, taped, words, onPhoto, onTape });
}

function why({ fit, avatar, words }: AnswerOptions): HTMLElement {
  const evidence = avatar.evidence
    .map((name) => words.find("evidence", name) ?? words.find("evidence", name.split("_")[0] ?? ""))
    .filter((name) => name !== null);
  return el(
    "details",
    { class: "fold" },
    el("summary", { text: words.text("answer.why") }),
    el("p", { text: words.text("answer.why.used", { evidence: words.list([...new Set(evidence)]) }) }),
    el("p", { text: words.text("answer.why.meaning") }),
    sizeTable(fit, words),
    el("p", { class: "hint", text: words.text("answer.why.limits") }),
  );
}

/** Notes arrive as codes; those without words of ours are for developers. */
function noteTexts(fit: FitResult, words: Wording): string[] {
  return fit.notes.flatMap((note) => {
    const [code = "", region = ""] = note.split(":");
    const text = words.find("note", code, { region: words.find("region", region) ?? region });
    return text ? [text] : [];
  });
}
