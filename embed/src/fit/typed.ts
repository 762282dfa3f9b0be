import { CM_PER_INCH, KG_PER_POUND } from "./units";

const CM_PER_UNIT: Record<string, number> = {
  cm: 1,
  m: 100,
  in: CM_PER_INCH,
  inch: CM_PER_INCH,
  inches: CM_PER_INCH,
  '"': CM_PER_INCH,
  "''": CM_PER_INCH,
  "′′": CM_PER_INCH,
  "”": CM_PER_INCH,
};
const KG_PER_UNIT: Record<string, number> = {
  kg: 1,
  kgs: 1,
  lb: KG_PER_POUND,
  lbs: KG_PER_POUND,
};

const plain = (typed: string): string => typed.normalize("NFKC").trim().toLowerCase();

/** A typed number; null when empty, NaN when it is none. Decimal commas and full-width digits count. */
export function parseNumber(typed: string): number | null {
  const text = plain(typed).replace(",", ".");
  if (text === "") return null;
  return /^\d+(\.\d*)?$/.test(text) ? Number(text) : Number.NaN;
}

/** A length that was typed with its unit ("178 cm", "1,78 m", "1 m 78"); null where none was. */
export function statedCm(typed: string): number | null {
  const metres = /^(\d)\s*m\s*(\d{2})$/.exec(plain(typed));
  return metres ? Number(metres[1]) * 100 + Number(metres[2]) : stated(typed, CM_PER_UNIT);
}

/** A weight that was typed with its unit ("74 kg", "163 lbs"); null where none was. */
export function statedKg(typed: string): number | null {
  return stated(typed, KG_PER_UNIT);
}

function stated(typed: string, perUnit: Record<string, number>): number | null {
  const [, number = "", unit = ""] = /^([\d.,]+)\s*(\D+)$/.exec(plain(typed).replace(/\.$/, "")) ?? [];
  if (!Object.hasOwn(perUnit, unit)) return null;
  const value = parseNumber(number);
  return value === null ? null : Math.round(value * (perUnit[unit] ?? 1) * 10) / 10;
}

/** What stands in a box for feet or for inches; the box's own unit may follow. */
export function parseFeet(typed: string): number | null {
  return parseNumber(plain(typed).replace(/\s*(ft|feet|foot|['’′])$/, ""));
}
export function parseInches(typed: string): number | null {
  return parseNumber(plain(typed).replace(/\s*(inches|inch|in|"|”|''|′′)$/, ""));
}

/** "5'10" or "5 ft 10 in": feet that are marked as such. */
export function areFeetMarked(typed: string): boolean {
  return /\d\s*(['’′]|ft)/.test(plain(typed));
}
