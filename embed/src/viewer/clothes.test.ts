import { describe, expect, it, vi } from "vitest";
import type { Dressed } from "../api/dressing";
import { ApiProblem } from "../api/problem";

import { en } from "../locales/en";
import { Wording } from "../words";
import { Clothes } from "./clothes";
import type { Viewer } from "./viewer";

const PUTTING_ON = en["viewer.dressing.queued"];
const NOT_NOW = en["viewer.dressing.none"];

/** Reads the name of a picture as the picture; "broken" cannot be read, "slow" takes a while. */
class PaperFigure {
  readonly worn: string[] = [];

  async dress(bytes: ArrayBuffer): Promise<void> {
    const name = new TextDecoder().decode(bytes);
    if (name === "broken") throw new Error("no model");
    if (name === "slow") await new Promise((resolve) => setTimeout(resolve, 20));
    this.worn.push(name);
  }

  showSize(size: string): boolean {
    return this.worn.at(-1)?.startsWith("only") ? size === "M" : size !== "XS";
  }

  isTooSmall(size: string): boolean {
    return size === "XS";
  }

  asViewer(): Viewer {
    return this as unknown as Viewer;
  }
}

async function* pictures(...names: [Dressed["dressing"], string][]): AsyncGenerator<Dressed> {
  for (const [dressing, name] of names) yield { dressing, glbUrl: name, path: name };
}

function makeClothes(come: AsyncIterable<Dressed>): { clothes: Clothes; read: string[] } {
  const read: string[] = [];
  const readMesh = async (address: string): Promise<ArrayBuffer> => {
    read.push(address);
    return new TextEncoder().encode(address).buffer as ArrayBuffer;
  };
  const clothes = new Clothes({
    words: new Wording("en", en),
    units: "metric",
    api: { readMesh },
    dressings: () => come,
    size: "M",
    onChange: () => undefined,
  });
  return { clothes, read };
}

describe("clothes", () => {
  it("are fetched before the figure is drawn and put on at once when it is", async () => {
    const { clothes, read } = makeClothes(pictures(["draft", "a"]));
    await clothes.follow();
    expect([read, clothes.dressing, clothes.shownSize]).toEqual([["a"], "queued", null]);
    const figure = new PaperFigure();
    await clothes.attach(figure.asViewer());
    expect([figure.worn, clothes.dressing, clothes.shownSize]).toEqual([["a"], "draft", "M"]);
  });

  it("end with the final picture, however long the draft took to read", async () => {
    const { clothes } = makeClothes(pictures(["draft", "slow"], ["final", "b"]));
    const figure = new PaperFigure();
    const attached = clothes.attach(figure.asViewer());
    await Promise.all([attached, clothes.follow()]);
    expect([figure.worn, clothes.dressing]).toEqual([["slow", "b"], "final"]);
  });

  it("keep the picture before when the next cannot be read", async () => {
    const { clothes } = makeClothes(pictures(["draft", "a"], ["final", "broken"]));
    const figure = new PaperFigure();
    await clothes.attach(figure.asViewer());
    await clothes.follow();
    expect([figure.worn, clothes.dressing]).toEqual([["a"], "draft"]);
  });

  it("say that a size is being put on which the draft does not have, and show it when it comes", async () => {
    const { clothes } = makeClothes(pictures(["draft", "only M"], ["final", "slow"]));
    await clothes.attach(new PaperFigure().asViewer());
    const followed = clothes.follow();
    await vi.waitUntil(() => clothes.dressing === "draft", { interval: 1 });
    clothes.show("L");
    expect([clothes.shownSize, clothes.element.textContent]).toEqual([
      null,
      expect.stringContaining(PUTTING_ON),
    ]);
    await followed;
    expect([clothes.shownSize, clothes.dressing]).toEqual(["L", "final"]);
  });

  it("tell a size that does not stretch so far from one whose picture did not come", async () => {
    const { clothes } = makeClothes(pictures(["draft", "only M"]));
    await clothes.attach(new PaperFigure().asViewer());
    await clothes.follow();
    clothes.show("XS");
    expect(clothes.element.textContent).toContain("stretch too far");
    clothes.show("L");
    expect(clothes.element.textContent).toContain(NOT_NOW);
  });

  it.each([
    ["none comes", pictures()],
    ["the only one cannot be read", pictures(["draft", "broken"])],
    ["the server says no", refused()],
  ])("say so when %s", async (_, come) => {
    const { clothes } = makeClothes(come);
    await clothes.follow();
    expect(clothes.dressing).toBe("queued");
    await clothes.attach(new PaperFigure().asViewer());
    expect(clothes.dressing).toBe("none");
  });
});

// biome-ignore lint/correctness/useYield: what fails before its first picture
async function* refused(): AsyncGenerator<Dressed> {
  throw new ApiProblem(404, "session_not_found");
}
