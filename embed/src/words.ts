import { en } from "./locales/en";

export type WordKey = keyof typeof en;
/** One text, or one for each plural category that the language has (`other` always). */
export type Text = string | Partial<Record<Intl.LDMLPluralRule, string>>;
export type Words = Record<WordKey, Text>;
export type Values = Record<string, string | number>;

export const LOCALES = ["en", "fr", "de", "es", "it", "ja"] as const;
export type Locale = (typeof LOCALES)[number];

const LOADERS: Record<Locale, () => Promise<Words>> = {
  en: async () => en,
  fr: async () => (await import("./locales/fr")).fr,
  de: async () => (await import("./locales/de")).de,
  es: async () => (await import("./locales/es")).es,
  it: async () => (await import("./locales/it")).it,
  ja: async () => (await import("./locales/ja")).ja,
};

/** The page's language as this visitor's region writes it: `en` read in Britain is `en-GB`. */
export function regionalTag(pageTag: string, visitorTags: readonly string[]): string {
  if (pageTag.includes("-")) return pageTag;
  return visitorTags.find((tag) => tag.startsWith(`${pageTag}-`)) ?? pageTag;
}

/** Every word, number and list the shopper reads, in one language. */
export class Wording {
  /** What numbers and plurals follow; may be more exact than the words (`de-AT`). */
  readonly tag: string;
  readonly #words: Words;
  readonly #plurals: Intl.PluralRules;

  constructor(tag: string, words: Words) {
    this.tag = tag;
    this.#words = words;
    this.#plurals = new Intl.PluralRules(tag);
  }

  static async load(tag: string): Promise<Wording> {
    const language = tag.toLowerCase().split("-")[0];
    const locale = LOCALES.find((known) => known === language);
    return locale ? new Wording(tag, await LOADERS[locale]()) : new Wording("en", en);
  }

  text(key: WordKey, values: Values = {}): string {
    const found = this.#words[key];
    const pattern = typeof found === "string" ? found : this.#plural(found, values.count);
    return pattern.replace(/\{(\w+)\}/g, (_, name: string) => this.#show(values[name]));
  }

  /** The text of `prefix` + `name` where we have one, else null: codes and regions come from outside. */
  find(prefix: string, name: string, values: Values = {}): string | null {
    const key = `${prefix}.${name}`;
    return Object.hasOwn(en, key) ? this.text(key as WordKey, values) : null;
  }

  /** What rounds to zero is written without a sign; a minus is as wide as a plus, no hyphen. */
  number(value: number, maximumFractionDigits = 0): string {
    const isZero = Math.abs(value) * 10 ** maximumFractionDigits < 0.5;
    const shown = new Intl.NumberFormat(this.tag, { maximumFractionDigits }).format(isZero ? 0 : value);
    return shown.replace("-", "−");
  }

  list(items: string[]): string {
    return new Intl.ListFormat(this.tag, { type: "conjunction", style: "narrow" }).format(items);
  }

  time(at: Date): string {
    return new Intl.DateTimeFormat(this.tag, { timeStyle: "medium" }).format(at);
  }

  /** First letter large, where a fragment begins a line. */
  capital(text: string): string {
    return text.charAt(0).toLocaleUpperCase(this.tag) + text.slice(1);
  }

  #show(value: string | number | undefined): string {
    return typeof value === "number" ? this.number(value) : (value ?? "");
  }

  #plural(forms: Partial<Record<Intl.LDMLPluralRule, string>>, count: string | number | undefined): string {
    return forms[this.#plurals.select(Number(count))] ?? forms.other ?? "";
  }
}
