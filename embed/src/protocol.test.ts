import { describe, expect, it } from "vitest";
import { readShopMessage } from "./protocol";

const uuid = "0190b8f0-1111-7000-8000-000000000001";
const variant = { id: "7001000", options: ["Chalk", "M"], available: true };
const context = {
  v: 1,
  type: "tryon:context",
  productId: "7001",
  variantId: "7001000",
  locale: "pt-BR",
  variants: [variant],
};

describe("messages of the store page", () => {
  it.each([
    context,
    { v: 1, type: "tryon:variant", variantId: "9007199254740991" },
    { v: 1, type: "tryon:opened" },
    { v: 1, type: "tryon:closed" },
    { v: 1, type: "tryon:cart", id: uuid, ok: true },
    { v: 1, type: "tryon:cart", id: uuid, ok: false, code: "sold_out" },
    { v: 1, type: "tryon:code", code: "x".repeat(43) },
  ])("%j is taken", (message) => {
    expect(readShopMessage(message)).toEqual(message);
  });

  it.each([
    ["nothing", null],
    ["text", "tryon:opened"],
    ["no version", { type: "tryon:opened" }],
    ["another version", { v: 2, type: "tryon:opened" }],
    ["an unknown type", { v: 1, type: "tryon:eval" }],
    ["a type of the object itself", { v: 1, type: "constructor" }],
    ["a variant that is no number", { v: 1, type: "tryon:variant", variantId: "1e3" }],
    ["a variant past what a number holds", { v: 1, type: "tryon:variant", variantId: "9007199254740993" }],
    ["a number where text belongs", { v: 1, type: "tryon:variant", variantId: 7001 }],
    ["an answer to nobody", { v: 1, type: "tryon:cart", id: "1", ok: true }],
    ["an unknown failure", { v: 1, type: "tryon:cart", id: uuid, ok: false, code: "<b>" }],
    ["a code that is too short", { v: 1, type: "tryon:code", code: "abc" }],
    ["a locale that is none", { ...context, locale: "../../en" }],
    ["variants that are no list", { ...context, variants: "M" }],
    ["a variant without options", { ...context, variants: [{ id: "1", available: true }] }],
    ["an option that is no text", { ...context, variants: [{ ...variant, options: [{}] }] }],
  ])("%s is dropped", (_, message) => {
    expect(readShopMessage(message)).toBeNull();
  });
});
