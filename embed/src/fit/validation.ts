import type { Facts, Sex, TapeName } from "../api/schema";
import type { Wording, WordKey } from "../words";
import { areFeetMarked, parseFeet, parseInches, parseNumber, statedCm, statedKg } from "./typed";
import {
  CM_PER_INCH,
  cmToFeet,
  feetToCm,
  INCHES_PER_FOOT,
  inchesToCm,
  KG_PER_POUND,
  poundsToKg,
  showHeight,
  showLength,
  showWeight,
  type UnitSystem,
} from "./units";

/** The form as typed. */
export interface Draft {
  units: UnitSystem;
  height: string; // cm; in feet-and-inches these two stand instead
  feet: string;
  inches: string;
  weight: string; // kg or lb
  /** Null until something was picked. */
  sex: Sex | null;
  age: string;
  tape: Record<TapeName, string>; // cm or in
}

export type Field = "height" | "weight" | "age" | TapeName;

/** Something to say about one field. A suggestion is what was probably meant, in the wire's unit. */
export interface Finding {
  field: Field;
  text: string;
  isBlocking: boolean;
  suggestion: { text: string; value: number } | null;
}

export interface Reading {
  facts: Facts | null;
  findings: Finding[];
}

export const TAPES: readonly TapeName[] = [
  "waist_cm",
  "chest_cm",
  "hip_cm",
  "inseam_cm",
  "thigh_cm",
  "upper_arm_cm",
];
/** Only asked of those whose answer hangs on them. */
export const RARE_TAPES: readonly TapeName[] = ["thigh_cm", "upper_arm_cm"];

interface Range {
  low: number;
  high: number;
}

/** The server judges by the same limits; a test holds them equal. */
export const LIMITS = {
  HEIGHT_RANGE_CM: { low: 130, high: 215 },
  WEIGHT_RANGE_KG: { low: 30, high: 250 },
  AGE_RANGE: { low: 16, high: 80 },
  waist_cm: { low: 45, high: 200 },
  chest_cm: { low: 60, high: 180 },
  hip_cm: { low: 60, high: 200 },
  inseam_cm: { low: 50, high: 115 },
  thigh_cm: { low: 30, high: 120 },
  upper_arm_cm: { low: 15, high: 75 },
} as const satisfies Record<string, Range>;
const { HEIGHT_RANGE_CM: HEIGHT_CM, WEIGHT_RANGE_KG: WEIGHT_KG, AGE_RANGE: AGE_YEARS } = LIMITS;
/** kg/m²: outside of it a weight was more likely typed in the other unit. */
const BELIEVABLE_BMI: Range = { low: 15, high: 45 };

const isIn = (value: number, { low, high }: Range): boolean => value >= low && value <= high;

export const emptyDraft = (units: UnitSystem): Draft => ({
  units,
  height: "",
  feet: "",
  inches: "",
  weight: "",
  sex: null,
  age: "",
  tape: { waist_cm: "", chest_cm: "", hip_cm: "", inseam_cm: "", thigh_cm: "", upper_arm_cm: "" },
});

/** Everything that is to be said about a form, and its facts once nothing blocks. */
export function readDraft(draft: Draft, words: Wording): Reading {
  const reader = new DraftReader(draft.units, words);
  const heightCm = reader.height(draft);
  const weightKg = reader.weight(draft.weight, heightCm);
  const age = reader.age(draft.age);
  const tapeCm: Partial<Record<TapeName, number>> = {};
  for (const name of TAPES) {
    const value = reader.tape(name, draft.tape[name]);
    if (value !== null) tapeCm[name] = value;
  }
  const isBlocked = heightCm === null || reader.findings.some((finding) => finding.isBlocking);
  const facts = isBlocked ? null : { heightCm, weightKg, sex: draft.sex ?? "unspecified", age, tapeCm };
  return { facts, findings: reader.findings };
}

class DraftReader {
  readonly findings: Finding[] = [];
  readonly #units: UnitSystem;
  readonly #words: Wording;

  constructor(units: UnitSystem, words: Wording) {
    this.#units = units;
    this.#words = words;
  }

  height(draft: Draft): number | null {
    const statedHeight = statedHeightCm(draft);
    if (statedHeight !== null) return isIn(statedHeight, HEIGHT_CM) ? statedHeight : this.#blockHeight();
    return draft.units === "metric" ? this.#heightCm(draft.height) : this.#heightFeet(draft);
  }

  #heightCm(typed: string): number | null {
    const value = parseNumber(typed);
    if (value === null) return this.#block("height", "invalid.height.missing");
    if (isIn(value, HEIGHT_CM)) return value;
    const feet = readFeet(typed);
    if (feet) {
      return this.#suggest("height", "hint.height_in_feet", feetToCm(feet.feet, feet.inches), feet);
    }
    if (isIn(value * 100, HEIGHT_CM)) return this.#suggest("height", "hint.height_in_metres", value * 100);
    if (isIn(inchesToCm(value), HEIGHT_CM)) {
      return this.#suggest("height", "hint.height_in_inches", inchesToCm(value));
    }
    return this.#blockHeight();
  }

  #heightFeet({ feet: typedFeet, inches: typedInches }: Draft): number | null {
    const feet = parseFeet(typedFeet);
    const inches = parseInches(typedInches) ?? 0;
    if (feet === null) return this.#block("height", "invalid.height.missing");
    if (isIn(feet, HEIGHT_CM)) return this.#suggest("height", "hint.height_in_cm", feet);
    const heightCm = feetToCm(feet, inches);
    return inches < INCHES_PER_FOOT && isIn(heightCm, HEIGHT_CM) ? heightCm : this.#blockHeight();
  }

  weight(typed: string, heightCm: number | null): number | null {
    const stated = statedKg(typed);
    if (stated !== null) return isIn(stated, WEIGHT_KG) ? stated : this.#blockWeight();
    const value = parseNumber(typed);
    if (value === null) return null;
    const kg = this.#units === "metric" ? value : poundsToKg(value);
    const other = this.#units === "metric" ? poundsToKg(value) : value;
    const hint = this.#units === "metric" ? "hint.weight_in_pounds" : "hint.weight_in_kilograms";
    if (!isIn(kg, WEIGHT_KG)) {
      return isIn(other, WEIGHT_KG) ? this.#suggest("weight", hint, other) : this.#blockWeight();
    }
    if (heightCm && !isBelievable(kg, heightCm) && isBelievable(other, heightCm)) {
      this.#suggest("weight", hint, other, {}, false);
    }
    return kg;
  }

  age(typed: string): number | null {
    const value = parseNumber(typed);
    if (value === null || isIn(value, AGE_YEARS)) return value;
    return this.#block("age", Number.isNaN(value) ? "invalid.number" : "invalid.age", AGE_YEARS);
  }

  tape(name: TapeName, typed: string): number | null {
    const range = LIMITS[name];
    const stated = statedCm(typed);
    if (stated !== null) return isIn(stated, range) ? stated : this.#blockTape(name, range);
    const value = parseNumber(typed);
    if (value === null) return null;
    const cm = this.#units === "metric" ? value : inchesToCm(value);
    if (isIn(cm, range)) return cm;
    if (this.#units === "metric" && isIn(inchesToCm(value), range)) {
      return this.#suggest(name, "hint.tape_in_inches", inchesToCm(value));
    }
    if (this.#units === "imperial" && isIn(value, range))
      return this.#suggest(name, "hint.tape_in_cm", value);
    return this.#blockTape(name, range);
  }

  #blockHeight(): null {
    const show = (cm: number): string => showHeight(cm, this.#units, this.#words);
    return this.#block("height", "invalid.height", { low: show(HEIGHT_CM.low), high: show(HEIGHT_CM.high) });
  }

  #blockWeight(): null {
    const show = (kg: number): string => showWeight(kg, this.#units, this.#words);
    return this.#block("weight", "invalid.weight", { low: show(WEIGHT_KG.low), high: show(WEIGHT_KG.high) });
  }

  #blockTape(name: TapeName, { low, high }: Range): null {
    const show = (limit: number): string => showLength(limit, this.#units, this.#words);
    return this.#block(name, "invalid.tape", { low: show(low), high: show(high) });
  }

  #block(field: Field, key: WordKey, values = {}): null {
    this.findings.push({ field, text: this.#words.text(key, values), isBlocking: true, suggestion: null });
    return null;
  }

  #suggest(field: Field, key: WordKey, value: number, values = {}, isBlocking = true): null {
    const show = { height: showHeight, weight: showWeight }[field as string] ?? showLength;
    const text = show(value, this.#units, this.#words);
    const said = this.#words.text(key, { ...values, value: text });
    this.findings.push({ field, text: said, isBlocking, suggestion: { text, value } });
    return null;
  }
}

/** A height that was typed with its unit, in either form; null where numbers stand alone. */
function statedHeightCm({ units, height, feet, inches }: Draft): number | null {
  if (units === "metric") return statedCm(height);
  if (inches.trim() !== "") return null;
  const marked = areFeetMarked(feet) ? readFeet(feet) : null;
  return marked ? feetToCm(marked.feet, marked.inches) : statedCm(feet);
}

/** 5.8 and 5'8 are five feet eight; 5.75 is five and three quarters. Only heights of adults count. */
function readFeet(typed: string): { feet: number; inches: number } | null {
  const match = /^([4-7])(?:\s*(?:[.,'’′]|ft)\s*(\d{1,2}))?\s*(?:"|”|''|′′|in)?$/i.exec(
    typed.normalize("NFKC").trim(),
  );
  if (!match) return null;
  const [feet, said] = [Number(match[1]), Number(match[2] ?? 0)];
  const inches = said < INCHES_PER_FOOT ? said : Math.round((said / 100) * INCHES_PER_FOOT);
  return isIn(feetToCm(feet, inches), HEIGHT_CM) ? { feet, inches } : null;
}

function isBelievable(kg: number, heightCm: number): boolean {
  return isIn(kg / (heightCm / 100) ** 2, BELIEVABLE_BMI);
}

/** Writes a value of the wire (cm, kg, years) into the form, in the units that it is typed in. */
export function writeField(draft: Draft, field: Field, value: number): void {
  if (field === "height") {
    const { feet, inches } = cmToFeet(value);
    Object.assign(draft, { height: String(Math.round(value)), feet: String(feet), inches: String(inches) });
  } else if (field === "weight") {
    draft.weight = draft.units === "metric" ? tenths(value) : String(Math.round(value / KG_PER_POUND));
  } else if (field === "age") {
    draft.age = tenths(value);
  } else {
    draft.tape[field] = draft.units === "metric" ? tenths(value) : halves(value / CM_PER_INCH);
  }
}

/** Carries what was typed over to other units; what cannot be read is left as it was. */
export function convertDraft(draft: Draft, units: UnitSystem): void {
  if (units === draft.units) return;
  const heightCm = typedHeightCm(draft);
  const kgPerUnit = draft.units === "metric" ? 1 : KG_PER_POUND;
  const cmPerUnit = draft.units === "metric" ? 1 : CM_PER_INCH;
  draft.units = units;
  if (heightCm !== null) writeField(draft, "height", heightCm);
  const weightKg = statedKg(draft.weight) ?? (parseNumber(draft.weight) || 0) * kgPerUnit;
  if (weightKg) writeField(draft, "weight", weightKg);
  for (const name of TAPES) {
    const lengthCm = statedCm(draft.tape[name]) ?? (parseNumber(draft.tape[name]) || 0) * cmPerUnit;
    if (lengthCm) writeField(draft, name, lengthCm);
  }
}

function typedHeightCm(draft: Draft): number | null {
  const { units, height, feet, inches } = draft;
  const stated = statedHeightCm(draft);
  if (stated) return isIn(stated, HEIGHT_CM) ? stated : null;
  if (units === "metric") {
    const meant = readFeet(height);
    const heightCm = meant ? feetToCm(meant.feet, meant.inches) : parseNumber(height);
    return heightCm && isIn(heightCm, HEIGHT_CM) ? heightCm : null;
  }
  const whole = parseFeet(feet);
  return whole ? feetToCm(whole, parseInches(inches) || 0) : null;
}

const tenths = (value: number): string => String(Math.round(value * 10) / 10);
const halves = (value: number): string => String(Math.round(value * 2) / 2);
