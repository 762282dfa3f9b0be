import { describe, expect, it } from "vitest";
import type { Avatar, FitResult, RegionFit, SizeFit } from "../api/schema";
import { de } from "../locales/de";
import { en } from "../locales/en";
import { Wording } from "../words";
import { chance, changeWords, easeWords, firstSize, headline } from "./answer_words";

const words = new Wording("en", en);

const region = (name: string, verdict: RegionFit["verdict"], ease_cm = 5): RegionFit => ({
  region: name,
  verdict,
  ease_cm,
  sd: 2,
});
const size = (name: string, probability: number, verdict: RegionFit["verdict"] = "regular"): SizeFit => ({
  size: name,
  probability,
  regions: [region("chest", "regular"), region("waist", verdict)],
});

const resultOf = (facts: Partial<FitResult>): FitResult => ({
  decision: "unsure",
  recommended_size: null,
  between: null,
  confidence: 0.5,
  sizes: [],
  measure_next: null,
  notes: [],
  ...facts,
});

const certain = (name: string): FitResult =>
  resultOf({
    decision: "one",
    recommended_size: name,
    sizes: [size("M", 0.2), size("L", 0.7), size("XL", 0.1)],
  });

describe("how likely", () => {
  it.each([
    [1, "more than 9 in 10"],
    [0.96, "more than 9 in 10"],
    [0.94, "about 9 in 10"],
    [0.74, "about 7 in 10"],
    [0.55, "about 6 in 10"],
    [0.05, "about 1 in 10"],
    [0.04, "less than 1 in 10"],
  ])("%d is said as %s", (probability, text) => {
    expect(chance(probability, words)).toBe(text);
  });
});

describe("the answer at the top", () => {
  it("names one size, how it sits, and the runner-up", () => {
    const result = resultOf({
      decision: "one",
      recommended_size: "M",
      sizes: [size("S", 0.03), size("M", 0.74, "snug"), size("L", 0.23, "loose")],
    });
    expect(headline(result, words)).toEqual({
      state: "one",
      title: "Your likely size",
      sizes: "M",
      sentences: ["Chest regular, waist close.", "Next most likely: L, about 2 in 10."],
    });
  });

  it("names no runner-up that hardly anyone needs", () => {
    const result = resultOf({
      decision: "one",
      recommended_size: "M",
      sizes: [size("S", 0.02), size("M", 0.98)],
    });
    expect(headline(result, words).sentences).toHaveLength(1);
  });

  it("names both sizes of a border and what each feels like", () => {
    const result = resultOf({
      decision: "between",
      between: ["M", "L"],
      sizes: [size("M", 0.5, "snug"), size("L", 0.45, "loose")],
    });
    expect(headline(result, words)).toMatchObject({
      title: "Between two sizes",
      sizes: "M – L",
      sentences: ["M: chest regular, waist close.", "L: chest regular, waist loose."],
    });
  });

  it("asks for the measurement that would help instead of guessing", () => {
    const result = resultOf({
      measure_next: "waist_natural_cm",
      sizes: [size("S", 0.3), size("M", 0.4), size("L", 0.3)],
    });
    expect(headline(result, words)).toMatchObject({
      title: "We cannot say yet",
      sizes: null,
      sentences: ["Waist: this measurement would help most.", "So far M is likeliest: about 4 in 10."],
    });
  });

  it("says when nothing fits, and never recommends the least bad size", () => {
    const result = resultOf({ decision: "none_fits", sizes: [size("L", 0.9, "too_tight")] });
    expect(headline(result, words)).toMatchObject({
      title: "No size is likely to fit",
      sizes: null,
      sentences: ["L would come closest: chest regular, waist too tight."],
    });
  });

  it("finds the closest of sizes that are all unlikely by how they sit", () => {
    const sizes = [size("S", 0, "too_tight"), size("M", 0, "too_tight"), size("L", 0, "too_tight")];
    const eases = [-9, -6, -3];
    sizes.forEach((one, index) => {
      one.regions = [region("waist", "too_tight", eases[index])];
    });
    const result = resultOf({ decision: "none_fits", sizes });
    expect(headline(result, words).sentences).toEqual(["L would come closest: waist too tight."]);
    expect(firstSize(result)).toBe("L");
  });

  it("begins with the recommended size, else with the likeliest", () => {
    expect(firstSize(certain("L"))).toBe("L");
    expect(firstSize(resultOf({ sizes: [size("S", 0.3), size("M", 0.4)] }))).toBe("M");
    expect(firstSize(resultOf({}))).toBeNull();
  });
});

describe("room as a range", () => {
  it.each([
    [5, "2–8 cm wider than you"],
    [-5, "2–8 cm narrower than you"],
    [1, "2 cm narrower to 4 cm wider than you"],
    [2.4, "0–5 cm wider than you"],
    [-2.4, "0–5 cm narrower than you"],
  ])("ease %d cm", (ease_cm, text) => {
    expect(easeWords(region("waist", "regular", ease_cm), "metric", words)).toBe(text);
  });

  it("is in inches for those who think in them", () => {
    expect(easeWords(region("waist", "regular", 5), "imperial", words)).toBe("1–3 in wider than you");
  });

  it("is in the language of the page", () => {
    expect(easeWords(region("waist", "regular", 5), "metric", new Wording("de", de))).toBe(
      "2–8 cm weiter als du",
    );
  });
});

describe("what a photo changed", () => {
  const avatar = (waist: number, hip: number): Avatar =>
    ({
      measurements: {
        waist_cm: { mean: waist, sd: 4 },
        thigh_cm: { mean: 0, sd: 1 },
        hip_cm: { mean: hip, sd: 2 },
      },
    }) as unknown as Avatar;
  const withHip = (result: FitResult): FitResult => ({
    ...result,
    sizes: result.sizes.map((one) => ({ ...one, regions: [...one.regions, region("hip", "regular")] })),
  });

  it("is told with the measurement that moved most against its uncertainty", () => {
    const before = { fit: withHip(certain("M")), avatar: avatar(80, 100) };
    const now = { fit: withHip(certain("L")), avatar: avatar(83, 104) };
    expect(changeWords(before, now, words)).toBe(
      "With your photo: L instead of M, because your hip is wider than we guessed.",
    );
  });

  it("leaves out regions that the chart does not have", () => {
    const before = { fit: certain("M"), avatar: avatar(80, 100) };
    const now = { fit: certain("L"), avatar: avatar(81, 110) };
    expect(changeWords(before, now, words)).toBe(
      "With your photo: L instead of M, because your waist is wider than we guessed.",
    );
  });

  it("never gives a reason that speaks against the change", () => {
    const before = { fit: certain("M"), avatar: avatar(80, 100) };
    const larger = { fit: certain("L"), avatar: avatar(77, 110) };
    expect(changeWords(before, larger, words)).toBe("With your photo: L instead of M.");
    expect(changeWords(larger, before, words)).toBe("With your photo: M instead of L.");
  });

  it("names what moved with the change, not what moved most", () => {
    const before = { fit: withHip(certain("M")), avatar: avatar(80, 100) };
    const now = { fit: withHip(certain("L")), avatar: avatar(84, 90) };
    expect(changeWords(before, now, words)).toBe(
      "With your photo: L instead of M, because your waist is wider than we guessed.",
    );
  });

  it("knows that two sizes lie between their neighbours", () => {
    const between = { ...certain("M"), decision: "between" as const, recommended_size: null };
    const before = { fit: { ...between, between: ["M", "L"] as [string, string] }, avatar: avatar(80, 100) };
    const now = { fit: certain("M"), avatar: avatar(77, 100) };
    expect(changeWords(before, now, words)).toBe(
      "With your photo: M instead of M or L, because your waist is narrower than we guessed.",
    );
  });

  it("is said even when nothing changed", () => {
    const same = { fit: certain("M"), avatar: avatar(80, 100) };
    expect(changeWords(same, same, words)).toBe("With your photo: still M.");
  });
});
