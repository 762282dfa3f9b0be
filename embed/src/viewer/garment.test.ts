import { Mesh } from "three";
import { describe, expect, it } from "vitest";
import { readGarment } from "./garment";
import { heatColour } from "./heat";
import { findTwins, smoothNormals } from "./normals";

const FLOAT = 5126;
const UNSIGNED_SHORT = 5123;

/** A strip of cloth bent along its middle, whose two halves meet at doubled vertices. */
const STRIP = [
  [0, 0, 0],
  [0, 1, 0],
  [1, 0, 0],
  [1, 1, 0],
  [1, 0, 0],
  [1, 1, 0],
  [1, 0, -1],
  [1, 1, -1],
];
const FACES = [0, 2, 1, 1, 2, 3, 4, 6, 5, 5, 6, 7];
const wider = STRIP.map(([x = 0]) => [x, 0, 0]);

/** A GLB as the worker writes it: base M, morph L, ease a vertex and size; XS is too small for the body. */
function garmentFile(
  extras: object,
  nodes: object[] = [{ mesh: 0 }],
  targets: object[] = [{ POSITION: 3 }],
): ArrayBuffer {
  const parts: { values: number[]; type: string; component: number }[] = [
    { values: STRIP.flat(), type: "VEC3", component: FLOAT },
    { values: STRIP.map(() => 0.06), type: "SCALAR", component: FLOAT },
    { values: STRIP.map(() => 0.26), type: "SCALAR", component: FLOAT },
    { values: wider.flat(), type: "VEC3", component: FLOAT },
    { values: FACES, type: "SCALAR", component: UNSIGNED_SHORT },
  ];
  const chunks = parts.map(({ values, component }) =>
    component === FLOAT ? new Float32Array(values) : new Uint16Array(values),
  );
  let byteOffset = 0;
  const bufferViews = chunks.map(({ byteLength }) => {
    const view = { buffer: 0, byteOffset, byteLength };
    byteOffset += byteLength;
    return view;
  });
  const accessors = parts.map(({ values, type, component }, bufferView) => ({
    bufferView,
    componentType: component,
    type,
    count: values.length / (type === "VEC3" ? 3 : 1),
    ...(type === "VEC3" ? { min: [-9, -9, -9], max: [9, 9, 9] } : {}),
  }));
  const primitive = {
    attributes: { POSITION: 0, _EASE_M: 1, _EASE_L: 2 },
    ...(targets.length > 0 ? { targets } : {}),
    indices: 4,
    material: 0,
  };
  const json = {
    asset: { version: "2.0" },
    scene: 0,
    scenes: [{ nodes: [0] }],
    nodes,
    meshes: [{ primitives: [primitive], weights: [0], extras }],
    materials: [{ name: "cloth" }],
    accessors,
    bufferViews,
    buffers: [{ byteLength: byteOffset }],
  };
  const text = new TextEncoder().encode(JSON.stringify(json));
  const textLength = Math.ceil(text.length / 4) * 4;
  const file = new ArrayBuffer(12 + 8 + textLength + 8 + byteOffset);
  const bytes = new Uint8Array(file);
  const head = new DataView(file);
  const words = [0x46546c67, 2, file.byteLength, textLength, 0x4e4f534a];
  for (const [at, word] of words.entries()) head.setUint32(4 * at, word, true);
  bytes.fill(0x20, 20, 20 + textLength).set(text, 20);
  head.setUint32(20 + textLength, byteOffset, true);
  head.setUint32(24 + textLength, 0x004e4942, true);
  for (const [at, chunk] of chunks.entries()) {
    bytes.set(new Uint8Array(chunk.buffer), 28 + textLength + (bufferViews[at]?.byteOffset ?? 0));
  }
  return file;
}

const EXTRAS = {
  sizes: ["XS", "M", "L"],
  base: "M",
  targetNames: ["L"],
  ease: { M: "_EASE_M", L: "_EASE_L" },
  unavailable: ["XS"],
};

async function worn(): Promise<{ garment: Awaited<ReturnType<typeof readGarment>>; drawn: () => Mesh[] }> {
  const garment = await readGarment(garmentFile(EXTRAS));
  const drawn = (): Mesh[] => {
    const meshes: Mesh[] = [];
    garment.object.traverseVisible((part) => {
      if (part instanceof Mesh) meshes.push(part);
    });
    return meshes;
  };
  return { garment, drawn };
}

describe("a garment in its sizes", () => {
  it("shows exactly the size that was asked for", async () => {
    const { garment, drawn } = await worn();
    expect(drawn()).toEqual([]);
    for (const [size, widthM] of [
      ["M", 1],
      ["L", 2],
      ["M", 1],
    ] as const) {
      expect(garment.show(size)).toBe(true);
      expect(drawn()).toHaveLength(1);
      drawn()[0]?.geometry.computeBoundingBox();
      expect(drawn()[0]?.geometry.boundingBox?.max.x).toBeCloseTo(widthM);
    }
  });

  it("shows none in place of a size that it has no picture of", async () => {
    const { garment, drawn } = await worn();
    garment.show("M");
    expect(garment.show("XS")).toBe(false);
    expect(drawn()).toEqual([]);
    expect(garment.unavailable).toEqual(["XS"]);
  });

  it("shows the one size of a draft as the file has it, and its room", async () => {
    const garment = await readGarment(
      garmentFile({ sizes: ["M"], base: "M", ease: { M: "_EASE_M" } }, [{ mesh: 0 }], []),
    );
    expect([garment.show("L"), garment.show("M")]).toEqual([false, true]);
    garment.showHeat(true);
    let colour: number | undefined;
    garment.object.traverseVisible((part) => {
      if (part instanceof Mesh) colour = part.geometry.getAttribute("color").getX(0);
    });
    expect(colour).toBeCloseTo(heatColour(6)[0], 5);
  });

  it("colours each size by its own room, and gives the cloth back", async () => {
    const { garment, drawn } = await worn();
    garment.show("L");
    const cloth = drawn()[0]?.material;
    garment.showHeat(true);
    expect(drawn()[0]?.material).not.toBe(cloth);
    const colours = drawn()[0]?.geometry.getAttribute("color");
    const [red, green, blue] = heatColour(26);
    expect([colours?.getX(0), colours?.getY(0), colours?.getZ(0)]).toEqual(
      [red, green, blue].map((level) => expect.closeTo(level, 5)),
    );
    garment.showHeat(false);
    expect(drawn()[0]?.material).toBe(cloth);
    expect(drawn()[0]?.geometry.hasAttribute("color")).toBe(false);
  });

  it("may come as one model a size, as brands send them", async () => {
    const said = { layout: "nodes", ease: { M: "_EASE_M", "2X/3X": "_EASE_L" }, unavailable: ["XS"] };
    const children = ["M", "2X/3X"].map((name) => ({ name, mesh: 0 }));
    const file = garmentFile({}, [{ name: "garment", extras: said, children: [1, 2] }, ...children]);
    const garment = await readGarment(file);
    const drawn = (): string[] => {
      const names: string[] = [];
      garment.object.traverseVisible((part) => {
        if (part instanceof Mesh) names.push(part.userData.name);
      });
      return names;
    };
    expect(garment.show("2X/3X")).toBe(true);
    expect(drawn()).toEqual(["2X/3X"]);
    expect(garment.show("M")).toBe(true);
    expect(drawn()).toEqual(["M"]);
    expect(garment.show("XS")).toBe(false);
    garment.showHeat(true);
    garment.show("M");
    garment.object.traverseVisible((part) => {
      if (part instanceof Mesh)
        expect(part.geometry.getAttribute("color").getX(0)).toBeCloseTo(heatColour(6)[0], 5);
    });
  });

  it("is refused where the file says nothing of sizes", async () => {
    await expect(readGarment(garmentFile({}))).rejects.toThrow();
  });
});

describe("smooth normals", () => {
  it("are one across a seam of doubled vertices, and each half's own away from it", () => {
    const positions = new Float32Array(STRIP.flat());
    const twin = findTwins(positions, 1e-4);
    const normals = smoothNormals(positions, FACES, twin);
    const at = (i: number): number[] => [...normals.slice(3 * i, 3 * i + 3)];
    expect(at(2)).toEqual(at(4));
    expect(at(0)).toEqual([0, 0, 1]);
    expect(at(7)).toEqual([1, 0, 0]);
  });
});

describe("the colours of the room", () => {
  it("stay at the ends beyond them and change without a jump between", () => {
    expect(heatColour(-50)).toEqual(heatColour(-6));
    expect(heatColour(99)).toEqual(heatColour(26));
    for (let cm = -8; cm < 28; cm += 0.5) {
      const [here, next] = [heatColour(cm), heatColour(cm + 0.5)];
      for (const channel of [0, 1, 2] as const)
        expect(Math.abs(here[channel] - next[channel])).toBeLessThan(0.12);
    }
  });
});
