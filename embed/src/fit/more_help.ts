import type { EventFacts } from "../api/events";
import type { FitResult } from "../api/schema";
import { el } from "../dom";
import type { Wording, WordKey } from "../words";

type Best = EventFacts["evidence_offered"]["best"];

interface Offer {
  words: WordKey;
  best: Best;
  /** The photo is the one thing to do next. */
  isPressing: boolean;
}

/** At this probability of the top size, more evidence hardly changes the answer. */
const NEARLY_CERTAIN = 0.9;

/**
 * S3 without p(change): whether a photo is likely to matter, as far as the probabilities alone can say.
 * After a tape value or a photo nothing more is pressed on anyone.
 */
export function offerFor(fit: FitResult, evidence: string[]): Offer {
  const hasTape = evidence.some((name) => name.startsWith("tape"));
  const top = Math.max(0, ...fit.sizes.map(({ probability }) => probability));
  if (top >= NEARLY_CERTAIN) return { words: "more.unlikely", best: "photo", isPressing: false };
  if (fit.decision === "one")
    return { words: "more.possible", best: hasTape ? "photo" : "waist", isPressing: false };
  if (fit.decision === "none_fits") return { words: "more.possible", best: "photo", isPressing: false };
  return { words: "more.border", best: hasTape ? "photo" : "waist", isPressing: true };
}

interface MoreHelpOptions {
  fit: FitResult;
  evidence: string[];
  words: Wording;
  onPhoto: () => void;
  onWaist: () => void;
}

export function moreHelp({ fit, evidence, words, onPhoto, onWaist }: MoreHelpOptions): HTMLElement {
  const offer = offerFor(fit, evidence);
  const hasPhoto = evidence.includes("photo");
  const isPrimary = offer.isPressing && !hasPhoto;
  const photo = el("button", {
    class: isPrimary ? "button button--primary" : "button",
    text: words.text(hasPhoto ? "more.retake" : "more.photo"),
    attributes: { type: "button", "data-action": "photo" },
    on: { click: onPhoto },
  });
  const waist = el("button", {
    class: "button",
    text: words.text("more.waist"),
    attributes: { type: "button", "data-action": "waist" },
    on: { click: onWaist },
  });
  const hasTape = evidence.some((name) => name.startsWith("tape"));
  return el(
    "section",
    { class: "card card--quiet" },
    el("h2", { class: "section-title", text: words.text("more.title") }),
    el("p", { text: hasPhoto ? words.text("answer.photo_used") : words.text(offer.words) }),
    el("div", { class: "actions" }, photo, hasTape ? null : waist),
  );
}
