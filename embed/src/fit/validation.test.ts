import { describe, expect, it } from "vitest";
import questionnaire from "../../../gpu_worker/estimators/questionnaire.py?raw";
import { en } from "../locales/en";
import { Wording } from "../words";
import { convertDraft, type Draft, emptyDraft, LIMITS, readDraft } from "./validation";

const words = new Wording("en", en);
const draft = (typed: Partial<Draft>): Draft => ({ ...emptyDraft("metric"), ...typed });
const read = (typed: Partial<Draft>) => readDraft(draft(typed), words);
const first = (typed: Partial<Draft>) => read(typed).findings[0];

describe("a typed height", () => {
  it.each([
    ["178", 178],
    ["178,5", 178.5],
    ["１７８", 178],
    ["178 cm", 178],
    ["178cm", 178],
    ["178,5 cm", 178.5],
    ["1,78 m", 178],
    ["1.78m", 178],
    ["1 m 78", 178],
    ["1m78", 178],
    ["１７８ｃｍ", 178],
    ["70 in", 177.8],
  ])("%s is taken as it is", (height, heightCm) => {
    expect(read({ height }).facts?.heightCm).toBe(heightCm);
  });

  it.each([
    ["5.8", "Feet? 5 ft 8 in is 173 cm.", 172.7],
    ["5'11", "Feet? 5 ft 11 in is 180 cm.", 180.3],
    ["5.75", "Feet? 5 ft 9 in is 175 cm.", 175.3],
    ["6", "Feet? 6 ft 0 in is 183 cm.", 182.9],
    ["1.78", "Metres? That is 178 cm.", 178],
    ["70", "Inches? That is 178 cm.", 177.8],
  ])("%s is refused with the likely unit", (height, text, value) => {
    expect(read({ height }).facts).toBeNull();
    expect(first({ height })?.text).toBe(text);
    expect(first({ height })?.suggestion?.value).toBeCloseTo(value, 1);
  });

  it.each(["90", "300", "abc", "-178", "1e2", "178 kg", "17 m", "90 cm", "178 cm cm"])(
    "%s is refused with the range",
    (height) => {
      expect(first({ height })?.text).toBe("Please enter a height between 130 cm and 215 cm.");
    },
  );

  it("is asked for when missing", () => {
    expect(first({ height: "" })?.text).toBe("We need your height.");
  });

  it("in feet and inches becomes centimetres", () => {
    expect(read({ units: "imperial", feet: "5", inches: "10" }).facts?.heightCm).toBe(177.8);
  });

  it("in feet with a value in centimetres is refused with the likely unit", () => {
    expect(first({ units: "imperial", feet: "178" })?.text).toBe("Centimetres? That is 5 ft 10 in.");
  });

  it.each([
    [{ feet: "178 cm" }, 178],
    [{ feet: "1,78 m" }, 178],
    [{ feet: "5 ft", inches: "10 in" }, 177.8],
    [{ feet: "5'10" }, 177.8],
    [{ feet: "5 ft 10 in" }, 177.8],
  ])("in the boxes of feet and inches, %o is understood", (typed, heightCm) => {
    expect(read({ units: "imperial", ...typed }).facts?.heightCm).toBe(heightCm);
  });

  it("with twelve inches or more is refused", () => {
    expect(first({ units: "imperial", feet: "5", inches: "12" })?.isBlocking).toBe(true);
  });
});

describe("a typed weight", () => {
  it("may be left out", () => {
    expect(read({ height: "178" }).facts?.weightKg).toBeNull();
  });

  it("in pounds becomes kilograms", () => {
    expect(read({ units: "imperial", feet: "5", inches: "10", weight: "160" }).facts?.weightKg).toBe(72.6);
  });

  it.each([
    ["74 kg", "metric", 74],
    ["74,5kg", "metric", 74.5],
    ["163 lb", "metric", 73.9],
    ["163 lbs", "imperial", 73.9],
    ["74 kg", "imperial", 74],
  ] as const)("of %s in a %s form is taken in the unit that is typed", (weight, units, weightKg) => {
    const { facts, findings } = read({ units, height: "178", feet: "5", inches: "10", weight });
    expect(facts?.weightKg).toBe(weightKg);
    expect(findings).toEqual([]);
  });

  it.each(["74 cm", "5 kg"])("of %s is refused with the range", (weight) => {
    expect(first({ height: "178", weight })?.text).toBe("Please enter a weight between 30 kg and 250 kg.");
  });

  it("that fits pounds far better is questioned but not blocked", () => {
    const { facts, findings } = read({ height: "170", weight: "154" });
    expect(findings).toMatchObject([{ text: "Pounds? That is 70 kg.", isBlocking: false }]);
    expect(facts?.weightKg).toBe(154);
  });

  it("beyond the range suggests pounds", () => {
    expect(first({ height: "180", weight: "330" })?.suggestion?.value).toBe(149.7);
  });

  it("out of every range is refused", () => {
    expect(first({ height: "180", weight: "5" })?.text).toBe(
      "Please enter a weight between 30 kg and 250 kg.",
    );
  });
});

describe("the optional answers", () => {
  it.each(["15", "81"])("age %s is refused", (age) => {
    expect(first({ height: "178", age })?.text).toBe(
      "We estimate sizes for ages between 16 and 80; you can leave it empty.",
    );
  });

  it("a waist of 34 cm is probably inches", () => {
    const tape = { ...emptyDraft("metric").tape, waist_cm: "34" };
    expect(first({ height: "178", tape })?.text).toBe("Inches? That is 86 cm.");
  });

  it.each([
    ["86 cm", "metric", 86],
    ["34 in", "metric", 86.4],
    ['34"', "imperial", 86.4],
    ["86 cm", "imperial", 86],
  ] as const)("a waist of %s in a %s form is taken in the unit that is typed", (waist, units, waist_cm) => {
    const tape = { ...emptyDraft(units).tape, waist_cm: waist };
    const { facts } = read({ units, height: "178", feet: "5", inches: "10", tape });
    expect(facts?.tapeCm).toEqual({ waist_cm });
  });

  it("tape values arrive in centimetres", () => {
    const tape = { ...emptyDraft("metric").tape, waist_cm: "34", hip_cm: "" };
    const { facts } = read({ units: "imperial", feet: "5", inches: "10", tape });
    expect(facts?.tapeCm).toEqual({ waist_cm: 86.4 });
  });
});

describe("a change of units", () => {
  it("carries over what was typed, there and back", () => {
    const typed = draft({ height: "178", weight: "74" });
    convertDraft(typed, "imperial");
    expect(typed).toMatchObject({ units: "imperial", feet: "5", inches: "10", weight: "163" });
    convertDraft(typed, "metric");
    expect(typed).toMatchObject({ units: "metric", height: "178", weight: "73.9" });
  });

  it("carries over values that were typed with their unit", () => {
    const tape = { ...emptyDraft("metric").tape, waist_cm: "86 cm" };
    const typed = draft({ height: "1,78 m", weight: "74 kg", tape });
    convertDraft(typed, "imperial");
    expect(typed).toMatchObject({ feet: "5", inches: "10", weight: "163", tape: { waist_cm: "34" } });
  });

  it("understands feet typed as centimetres", () => {
    const typed = draft({ height: "5.8" });
    convertDraft(typed, "imperial");
    expect(typed).toMatchObject({ feet: "5", inches: "8" });
  });
});

describe("the limits", () => {
  it.each(Object.entries(LIMITS))("of %s are those of the server", (name, { low, high }) => {
    const [, ...limits] =
      new RegExp(`"?${name}"?(?: =|:) \\((\\d+)\\.0, (\\d+)\\.0\\)`).exec(questionnaire) ?? [];
    expect(limits.map(Number)).toEqual([low, high]);
  });
});
