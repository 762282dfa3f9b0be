import { describe, expect, it } from "vitest";
import { encodeWithin, MAX_BYTES, type Size, sharpness, sizeWithin } from "./photo_file";

describe("the size a photo is sent in", () => {
  it.each([
    [
      { width: 3000, height: 4000 },
      { width: 1200, height: 1600 },
    ],
    [
      { width: 4000, height: 1000 },
      { width: 1600, height: 400 },
    ],
    [
      { width: 800, height: 600 },
      { width: 800, height: 600 },
    ],
    [
      { width: 10_000, height: 1 },
      { width: 1600, height: 1 },
    ],
  ])("%o becomes %o", (given, wanted) => {
    expect(sizeWithin(given, 1600)).toEqual(wanted);
  });
});

describe("a photo of many details", () => {
  /** A file of `bitsPerPx` at full quality, less at lower ones. */
  const encoder = (bytesPerPx: number) => async (size: Size, quality: number) =>
    new Blob([new Uint8Array(Math.round(size.width * size.height * bytesPerPx * quality))]);

  it("keeps the best quality when that is small enough", async () => {
    const { file, size } = await encodeWithin({ width: 1200, height: 1600 }, encoder(0.2));
    expect(size).toEqual({ width: 1200, height: 1600 });
    expect(file.size).toBe(Math.round(1200 * 1600 * 0.2 * 0.88));
  });

  it("loses quality before size", async () => {
    const { file, size } = await encodeWithin({ width: 1200, height: 1600 }, encoder(0.3));
    expect(size.height).toBe(1600);
    expect(file.size).toBeLessThanOrEqual(MAX_BYTES);
  });

  it("shrinks when no quality is enough", async () => {
    const { file, size } = await encodeWithin({ width: 1200, height: 1600 }, encoder(2));
    expect(size.height).toBeLessThan(1600);
    expect(file.size).toBeLessThanOrEqual(MAX_BYTES);
  });

  it("ends even when nothing helps", async () => {
    const { size } = await encodeWithin(
      { width: 1200, height: 1600 },
      async () => new Blob([new Uint8Array(MAX_BYTES + 1)]),
    );
    expect(size.height).toBeLessThanOrEqual(400);
  });
});

describe("sharpness", () => {
  const side = 32;
  const picture = (value: (x: number) => number) =>
    Float32Array.from({ length: side * side }, (_, i) => value(i % side));

  it("is nothing on a plain wall and much on stripes", () => {
    const size = { width: side, height: side };
    expect(
      sharpness(
        picture(() => 120),
        size,
      ),
    ).toBe(0);
    expect(
      sharpness(
        picture((x) => (x % 2) * 255),
        size,
      ),
    ).toBeGreaterThan(10_000);
  });
});
