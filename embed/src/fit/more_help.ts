import type { EventFacts } from "../api/events";
import type { FitResult, TapeName } from "../api/schema";
import { el } from "../dom";
import type { Wording } from "../words";
import { hasChances, regionName } from "./answer_words";
import { regionsOf } from "./sizes";
import { TAPES } from "./validation";

type Best = EventFacts["evidence_offered"]["best"];

interface Offer {
  words: "more.unlikely" | "more.possible" | "more.border";
  best: Best;
  /** The photo is the one thing to do next. */
  isPressing: boolean;
  /** The measurement to ask for, if any is left that matters to this garment. */
  tape: TapeName | null;
}

/** At this probability of the top size, more evidence hardly changes the answer. */
const NEARLY_CERTAIN = 0.9;
/** What to ask for where the server names nothing: first what a shopper can say most easily. */
const TAPES_BY_EASE: readonly TapeName[] = ["waist_cm", "chest_cm", "hip_cm"];

/**
 * S3 without p(change): whether a photo is likely to matter, as far as the probabilities alone can say.
 * After a tape value or a photo nothing more is pressed on anyone.
 */
export function offerFor(fit: FitResult, evidence: string[], taped: readonly TapeName[]): Offer {
  const tape = tapeFor(fit, evidence, taped);
  const top = Math.max(0, ...fit.sizes.map(({ probability }) => probability));
  if (!hasChances(fit)) return { words: "more.possible", best: "photo", isPressing: false, tape };
  if (top >= NEARLY_CERTAIN) return { words: "more.unlikely", best: "photo", isPressing: false, tape };
  const best = tape === null ? "photo" : tape === "waist_cm" ? "waist" : "tape";
  if (fit.decision === "one") return { words: "more.possible", best, isPressing: false, tape };
  return { words: "more.border", best, isPressing: true, tape };
}

/** What the server says would help most, else the first measurement that the chart can be compared on. */
function tapeFor(fit: FitResult, evidence: string[], taped: readonly TapeName[]): TapeName | null {
  const named = fit.measure_next?.replace("_natural", "");
  const asked = TAPES.find((name) => name === named);
  if (asked) return taped.includes(asked) ? null : asked;
  if (taped.length > 0 || evidence.some((name) => name.startsWith("tape"))) return null;
  const judged = regionsOf(fit);
  return TAPES_BY_EASE.find((name) => judged.includes(name.replace("_cm", ""))) ?? null;
}

interface MoreHelpOptions {
  fit: FitResult;
  evidence: string[];
  taped: readonly TapeName[];
  words: Wording;
  onPhoto: () => void;
  onTape: (name: TapeName) => void;
}

export function moreHelp({ fit, evidence, taped, words, onPhoto, onTape }: MoreHelpOptions): HTMLElement {
  const offer = offerFor(fit, evidence, taped);
  const { tape } = offer;
  const hasPhoto = evidence.includes("photo");
  const isPrimary = offer.isPressing && !hasPhoto;
  const photo = el("button", {
    class: isPrimary ? "button button--primary" : "button",
    text: words.text(hasPhoto ? "more.retake" : "more.photo"),
    attributes: { type: "button", "data-action": "photo" },
    on: { click: onPhoto },
  });
  const measure =
    tape &&
    el("button", {
      class: "button",
      text: words.text(`more.tape.${tape}`),
      attributes: { type: "button", "data-action": "tape" },
      on: { click: () => onTape(tape) },
    });
  return el(
    "section",
    { class: "card card--quiet" },
    hasPhoto ? null : el("h2", { class: "section-title", text: words.text("more.title") }),
    el("p", { text: hasPhoto ? words.text("answer.photo_used") : offerWords(offer, words) }),
    el("div", { class: "actions" }, photo, measure),
  );
}

function offerWords({ words: key, tape }: Offer, words: Wording): string {
  if (key !== "more.border") return words.text(key);
  return tape ? words.text(key, { region: regionName(tape, words) }) : words.text("more.border.photo");
}
