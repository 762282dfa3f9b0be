import type { Wording } from "../words";

export type UnitSystem = "metric" | "imperial";

export const CM_PER_INCH = 2.54;
export const INCHES_PER_FOOT = 12;
export const KG_PER_POUND = 0.45359237;

/** Regions where people know their height in feet. */
const IMPERIAL_REGIONS = new Set(["US", "LR", "MM"]);

/** By the region of the first tag that names one; metric where none does. */
export function unitsOf(tags: readonly string[]): UnitSystem {
  for (const tag of tags) {
    const region = /-([A-Z]{2})\b/.exec(tag)?.[1];
    if (region) return IMPERIAL_REGIONS.has(region) ? "imperial" : "metric";
  }
  return "metric";
}

export const feetToCm = (feet: number, inches: number): number =>
  round1((feet * INCHES_PER_FOOT + inches) * CM_PER_INCH);
export const inchesToCm = (inches: number): number => round1(inches * CM_PER_INCH);
export const poundsToKg = (pounds: number): number => round1(pounds * KG_PER_POUND);

/** Whole feet and inches nearest to a height. */
export function cmToFeet(cm: number): { feet: number; inches: number } {
  const inches = Math.round(cm / CM_PER_INCH);
  return { feet: Math.floor(inches / INCHES_PER_FOOT), inches: inches % INCHES_PER_FOOT };
}

export function showHeight(cm: number, units: UnitSystem, words: Wording): string {
  return units === "metric"
    ? words.text("unit.cm.value", { value: words.number(cm) })
    : words.text("unit.ftin.value", cmToFeet(cm));
}

export function showWeight(kg: number, units: UnitSystem, words: Wording): string {
  return units === "metric"
    ? words.text("unit.kg.value", { value: words.number(kg) })
    : words.text("unit.lb.value", { value: words.number(kg / KG_PER_POUND) });
}

/** A girth or a length, to the centimetre or half inch. */
export function showLength(cm: number, units: UnitSystem, words: Wording): string {
  return units === "metric"
    ? words.text("unit.cm.value", { value: words.number(cm) })
    : words.text("unit.in.value", { value: halfInches(cm, words) });
}

/** Two lengths and one unit: "2–5 cm". */
export function showRange(lowCm: number, highCm: number, units: UnitSystem, words: Wording): string {
  const show = (cm: number): string => (units === "metric" ? words.number(cm) : halfInches(cm, words));
  const [low, high] = [show(lowCm), show(highCm)];
  const value = low === high ? low : `${low}–${high}`;
  return words.text(units === "metric" ? "unit.cm.value" : "unit.in.value", { value });
}

function halfInches(cm: number, words: Wording): string {
  return words.number(Math.round((cm / CM_PER_INCH) * 2) / 2, 1);
}

function round1(value: number): number {
  return Math.round(value * 10) / 10;
}
