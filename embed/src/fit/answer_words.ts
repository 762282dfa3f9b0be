import type { Avatar, Decision, FitResult, RegionFit, SizeFit } from "../api/schema";
import type { Wording } from "../words";
import { showRange, type UnitSystem } from "./units";

/** Half width of the 80 % interval of a normal distribution, in standard deviations. */
const SD_OF_80_PERCENT = 1.2816;

/** What stands at the top of the answer. */
export interface Headline {
  state: Decision;
  title: string;
  /** The size or sizes, large; null when none is named. */
  sizes: string | null;
  sentences: string[];
}

/** Probabilities are said in tenths, never in decimals. */
export function chance(probability: number, words: Wording): string {
  if (probability >= 0.95) return words.text("chance.almost_all");
  const tenths = Math.round(probability * 10);
  return tenths === 0 ? words.text("chance.almost_none") : words.text("chance.tenths", { tenths });
}

export function regionName(region: string, words: Wording): string {
  const plain = region.replace(/_(cm|natural)/g, "");
  return words.find("region", plain) ?? plain.replaceAll("_", " ");
}

/** "Chest regular, waist close" */
export function fitWords(size: SizeFit, words: Wording): string {
  const parts = size.regions.map(({ region, verdict }) =>
    words.text("fit.region", {
      region: regionName(region, words),
      verdict: words.text(`verdict.${verdict}`),
    }),
  );
  return words.list(parts);
}

/** How much wider or narrower than the shopper the garment is, as the 80 % interval. */
export function easeWords({ ease_cm, sd }: RegionFit, units: UnitSystem, words: Wording): string {
  const low = Math.round(ease_cm - SD_OF_80_PERCENT * sd);
  const high = Math.round(ease_cm + SD_OF_80_PERCENT * sd);
  if (low >= 0) return words.text("ease.wider", { range: showRange(low, high, units, words) });
  if (high <= 0) return words.text("ease.narrower", { range: showRange(-high, -low, units, words) });
  return words.text("ease.around", {
    narrower: showRange(-low, -low, units, words),
    wider: showRange(high, high, units, words),
  });
}

export function sizeNamed(fit: FitResult, name: string | null): SizeFit | null {
  return fit.sizes.find(({ size }) => size === name) ?? null;
}

/** The sizes by probability, the likeliest first; equally likely ones by how little they are off. */
export function byChance(fit: FitResult): SizeFit[] {
  return [...fit.sizes].sort(
    (a, b) => b.probability - a.probability || regionsOff(a) - regionsOff(b) || cmOff(a) - cmOff(b),
  );
}

const isOff = ({ verdict }: RegionFit): boolean => verdict === "too_tight" || verdict === "too_loose";
const regionsOff = ({ regions }: SizeFit): number => regions.filter(isOff).length;

/** Grows with what a tight size lacks and a loose one has too much; only good to compare sizes by. */
function cmOff({ regions }: SizeFit): number {
  const off = regions.filter(isOff);
  return off.reduce((sum, { verdict, ease_cm }) => sum + (verdict === "too_tight" ? -ease_cm : ease_cm), 0);
}

/** Where nothing fits, a size's chance would read as advice to take it. */
export function hasChances({ decision }: FitResult): boolean {
  return decision !== "none_fits";
}

/** The size to look at first: the recommended one, else the likeliest. */
export function firstSize(fit: FitResult): string | null {
  return fit.recommended_size ?? byChance(fit)[0]?.size ?? null;
}

export function headline(fit: FitResult, words: Wording): Headline {
  const state = fit.decision;
  return { state, title: words.text(`answer.title.${state}`), ...SPEAK[state](fit, words) };
}

type Said = Pick<Headline, "sizes" | "sentences">;

const SPEAK: Record<Decision, (fit: FitResult, words: Wording) => Said> = {
  one: (fit, words) => {
    const size = sizeNamed(fit, fit.recommended_size);
    const runnerUp = byChance(fit).find((other) => other !== size && Math.round(other.probability * 10) > 0);
    const sentences = size ? [sentence(fitWords(size, words), words)] : [];
    if (runnerUp) {
      const said = { size: runnerUp.size, chance: chance(runnerUp.probability, words) };
      sentences.push(words.text("answer.runner_up", said));
    }
    return { sizes: fit.recommended_size, sentences };
  },
  between: (fit, words) => {
    const sizes = (fit.between ?? []).map((name) => sizeNamed(fit, name)).filter((size) => size !== null);
    const feels = sizes.map((size) =>
      words.text("answer.feels", { size: size.size, fit: fitWords(size, words) }),
    );
    return { sizes: (fit.between ?? []).join(" – "), sentences: feels };
  },
  unsure: (fit, words) => {
    const likely = byChance(fit)[0];
    const sentences = [];
    if (fit.measure_next) {
      const name = words.capital(regionName(fit.measure_next, words));
      sentences.push(words.text("answer.unsure", { name }));
    }
    if (likely) {
      const said = { size: likely.size, chance: chance(likely.probability, words) };
      sentences.push(words.text("answer.unsure.likeliest", said));
    }
    return { sizes: null, sentences };
  },
  none_fits: (fit, words) => {
    const closest = byChance(fit)[0];
    const said = closest && { size: closest.size, fit: fitWords(closest, words) };
    return { sizes: null, sentences: said ? [words.text("answer.none", said)] : [] };
  },
};

function sentence(text: string, words: Wording): string {
  return words.capital(words.text("fit.sentence", { text }));
}

/** The regions that a chart is compared on, by the measurement behind each. */
const REGION_OF: Record<string, string> = {
  chest_cm: "chest",
  waist_cm: "waist",
  waist_natural_cm: "waist",
  hip_cm: "hip",
  thigh_cm: "thigh",
  upper_arm_cm: "upper_arm",
};

/** After new evidence: what the answer is now, and why it moved. */
export function changeWords(
  before: { fit: FitResult; avatar: Avatar },
  now: { fit: FitResult; avatar: Avatar },
  words: Wording,
): string {
  const [was, is] = [nameOf(before.fit, words), nameOf(now.fit, words)];
  if (!is || !was) return words.text("answer.photo_used");
  if (was === is) return words.text("answer.confirmed", { now: is });
  const reason = changeReason(before, now, words);
  const said = { now: is, before: was };
  return reason
    ? words.text("answer.changed", { ...said, reason })
    : words.text("answer.changed.plain", said);
}

function nameOf(fit: FitResult, words: Wording): string | null {
  if (fit.recommended_size) return fit.recommended_size;
  return fit.between
    ? words.text("answer.both_names", { first: fit.between[0], second: fit.between[1] })
    : null;
}

function relevantRegions(fit: FitResult): Set<string> {
  return new Set(fit.sizes.flatMap(({ regions }) => regions.map(({ region }) => region)));
}

/** 1 to a larger size, −1 to a smaller one, else 0; charts go from small to large. */
function directionOf(before: FitResult, now: FitResult): number {
  const placeOf = ({ recommended_size, between }: FitResult): number => {
    const names = recommended_size ? [recommended_size] : (between ?? []);
    const places = names.map((name) => now.sizes.findIndex(({ size }) => size === name));
    return places.includes(-1) ? Number.NaN : places.reduce((sum, place) => sum + place, 0) / places.length;
  };
  return Math.sign(placeOf(now) - placeOf(before)) || 0;
}

/** Of the measurements that moved the way the size did, the one that moved most against its uncertainty. */
function changeReason(
  before: { fit: FitResult; avatar: Avatar },
  now: { fit: FitResult; avatar: Avatar },
  words: Wording,
): string | null {
  const direction = directionOf(before.fit, now.fit);
  const regions = relevantRegions(now.fit);
  const moves = Object.entries(REGION_OF).flatMap(([name, region]) => {
    const [was, is] = [before.avatar.measurements[name], now.avatar.measurements[name]];
    if (!was || !is || !regions.has(region)) return [];
    return [{ region, moved: ((is.mean - was.mean) / Math.max(was.sd, 0.1)) * direction }];
  });
  const largest = moves.filter(({ moved }) => moved > 0).sort((a, b) => b.moved - a.moved)[0];
  if (!largest) return null;
  const key = direction > 0 ? "answer.reason.larger" : "answer.reason.smaller";
  return words.text(key, { region: regionName(largest.region, words) });
}
