import { describe, expect, it } from "vitest";
import { de } from "./locales/de";
import { en } from "./locales/en";
import { es } from "./locales/es";
import { fr } from "./locales/fr";
import { it as italian } from "./locales/it";
import { ja } from "./locales/ja";
import { LOCALES, type Locale, regionalTag, type Text, Wording, type WordKey, type Words } from "./words";

const ALL: Record<Locale, Words> = { en, fr, de, es, it: italian, ja };
const KEYS = Object.keys(en) as WordKey[];
const formsOf = (text: Text): string[] => (typeof text === "string" ? [text] : Object.values(text));
const namesIn = (text: Text): string[] =>
  [...new Set(formsOf(text).flatMap((form) => form.match(/\{\w+\}/g) ?? []))].sort();

/** What we never say; see the tone of the product. */
const BANNED: Record<Locale, RegExp> = {
  en: /!|perfect|guarantee|AI-powered|true to you|never return/i,
  fr: /!|parfait|garanti|propulsé par l’IA/i,
  de: /!|perfekt|garantier|KI-gestützt/i,
  es: /!|¡|perfect|garantiz|con IA/i,
  it: /!|perfett|garanti|basato su IA/i,
  ja: /！|!|完璧|保証|AI搭載/,
};

/** Every number in the copy has a source: limits of the API, deadlines of the retention schedule, the fitted ages. */
const SOURCED_NUMBERS: Record<string, string[]> = {
  "answer.why.limits": ["17", "58"],
  "answer.why.meaning": ["8", "10"],
  "chance.almost_all": ["9", "10"],
  "chance.tenths": ["10"],
  "chance.almost_none": ["1", "10"],
  "consent.until": ["1", "24", "30"],
  "data.deleted.rest": ["30"],
  "data.deleted.working": ["1"],
  "data.none": ["30"],
  "data.until": ["30"],
  "error.figure_down": ["3"],
  "photo.do.phone": ["3"],
  "refused.photo_too_large": ["10", "50"],
  "viewer.fallback": ["3"],
};
/** Written as digits in Japanese where others write a word. */
const COUNTED_IN_JAPANESE = ["1", "2", "3", "90"];

describe.each(LOCALES)("the words of %s", (locale) => {
  const words = ALL[locale];

  it("are all there, and no others", () => {
    expect(Object.keys(words).sort()).toEqual([...KEYS].sort());
  });

  it("are never empty and fill in the same names", () => {
    for (const key of KEYS) {
      for (const form of formsOf(words[key])) expect(form.trim(), key).not.toBe("");
      expect(namesIn(words[key]), key).toEqual(namesIn(en[key]));
    }
  });

  it("have a form for every plural of the language that whole numbers up to a thousand take", () => {
    const rules = new Intl.PluralRules(locale);
    const categories = new Set(Array.from({ length: 1000 }, (_, count) => rules.select(count)));
    for (const key of KEYS) {
      const text = words[key];
      if (typeof text === "string") continue;
      for (const category of categories) expect(text[category], `${key} ${category}`).toBeTruthy();
    }
  });

  it("promise nothing", () => {
    for (const key of KEYS) {
      for (const form of formsOf(words[key])) expect(form, key).not.toMatch(BANNED[locale]);
    }
  });

  it("hold no number without a source", () => {
    const extra = locale === "ja" ? COUNTED_IN_JAPANESE : [];
    for (const key of KEYS) {
      const allowed = [...(SOURCED_NUMBERS[key] ?? []), ...extra];
      const numbers = formsOf(words[key]).flatMap((form) => form.match(/\d+/g) ?? []);
      expect(allowed, key).toEqual(expect.arrayContaining(numbers));
    }
  });

  it("stay light: one language is fetched before the first question", () => {
    const bytes = new TextEncoder().encode(JSON.stringify(words)).length;
    expect(bytes).toBeLessThanOrEqual(18_000);
  });
});

describe("the limits of what we know", () => {
  const english = new Wording("en", en);

  it("do not put someone inside and outside the same ages", () => {
    expect(english.text("note.extrapolated")).not.toMatch(/outside|beyond/i);
    expect(english.text("answer.why.limits")).toMatch(/few at either end/);
  });
});

describe("wording", () => {
  it("writes numbers and plurals as the language does", () => {
    const german = new Wording("de-AT", de);
    expect(german.number(1234.5, 1)).toMatch(/^1.234,5$/);
    expect(german.number(-0)).toBe("0");
    expect(german.number(-0.3)).toBe("0");
    for (const tag of LOCALES) expect(new Wording(tag, ALL[tag]).number(-6), tag).toBe("−6");
    expect(german.text("progress.elapsed", { count: 1 })).toBe("1 Sekunde");
    expect(german.text("progress.elapsed", { count: 2 })).toBe("2 Sekunden");
    expect(new Wording("ja", ja).text("progress.elapsed", { count: 2 })).toBe("2秒");
  });

  it("loads the language of a regional tag, and English for what we do not speak", async () => {
    expect((await Wording.load("fr-CA")).text("app.back")).toBe("Retour");
    expect((await Wording.load("pt-BR")).text("app.back")).toBe("Back");
  });

  it("follows the visitor's region where the page names only a language", () => {
    expect(regionalTag("en", ["de-DE", "en-GB", "en-US"])).toBe("en-GB");
    expect(regionalTag("fr-CA", ["fr-FR"])).toBe("fr-CA");
    expect(regionalTag("ja", ["en-GB"])).toBe("ja");
  });

  it("finds words for codes from outside, or says that there are none", () => {
    const english = new Wording("en", en);
    expect(english.find("refused", "photo_cropped")).toMatch(/Step back/);
    expect(english.find("refused", "photo_gone")).toMatch(/send it again/);
    expect(english.find("refused", "toString")).toBeNull();
  });
});
