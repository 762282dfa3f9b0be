import {
  DataTexture,
  LinearFilter,
  Mesh,
  MeshBasicMaterial,
  type Object3D,
  PlaneGeometry,
  Vector3,
} from "three";

const GROUND_SIDE_M = 2.4;
const CELLS = 160;
/** What is higher than this over a spot darkens it no more. */
const CONTACT_M = 0.07;
const BODY_M = 1.1;
/** How far each shadow fades out, and how dark it is: the soles', and the whole figure's. */
const CONTACT = { fadeM: 0.018, darkness: 0.55 };
const BODY = { fadeM: 0.13, darkness: 0.3 };
/** Linear. */
const COLOUR = [14, 11, 9] as const;
/** Three passes of a plain mean come close to a bell. */
const PASSES = 3;

/** A contact shadow drawn once from the vertices above each spot of the ground: no light, no second pass. */
export function makeContactShadow(model: Object3D): Mesh {
  const contact = footprint(model, CONTACT_M, CONTACT.fadeM);
  const body = footprint(model, BODY_M, BODY.fadeM);
  const pixels = new Uint8Array(4 * CELLS * CELLS);
  for (let i = 0; i < CELLS * CELLS; i += 1) {
    const shown = (1 - CONTACT.darkness * (contact[i] ?? 0)) * (1 - BODY.darkness * (body[i] ?? 0));
    pixels.set([...COLOUR, Math.round(255 * (1 - shown))], 4 * i);
  }
  const map = new DataTexture(pixels, CELLS, CELLS);
  map.magFilter = LinearFilter;
  map.needsUpdate = true;
  const material = new MeshBasicMaterial({ map, transparent: true, depthWrite: false });
  const ground = new Mesh(new PlaneGeometry(GROUND_SIDE_M, GROUND_SIDE_M), material);
  ground.rotation.x = -Math.PI / 2;
  return ground;
}

/** How much of what is lower than `reachM` stands over each cell, 0 to 1, blurred; the last row is behind the figure. */
function footprint(model: Object3D, reachM: number, fadeM: number): Float32Array {
  let cells = new Float32Array(CELLS * CELLS);
  const position = new Vector3();
  model.traverse((object) => {
    if (!(object instanceof Mesh)) return;
    const attribute = object.geometry.getAttribute("position");
    for (let i = 0; i < attribute.count; i += 1) {
      position.fromBufferAttribute(attribute, i).applyMatrix4(object.matrixWorld);
      if (position.y < reachM) mark(cells, position, 1 - position.y / reachM);
    }
  });
  const radius = Math.max(1, Math.round((fadeM / GROUND_SIDE_M) * CELLS));
  for (let pass = 0; pass < PASSES; pass += 1) cells = meanAcross(meanAcross(cells, radius), radius);
  return cells;
}

/** Vertices may lie further apart than cells: each marks the four round it. */
function mark(cells: Float32Array, { x, z }: Vector3, share: number): void {
  const [column, row] = [cellAt(x), cellAt(-z)];
  for (const at of [row * CELLS + column, (row + 1) * CELLS + column]) {
    cells[at] = Math.max(cells[at] ?? 0, share);
    cells[at + 1] = Math.max(cells[at + 1] ?? 0, share);
  }
}

/** The cell before a place along one side. */
function cellAt(m: number): number {
  return Math.min(CELLS - 2, Math.max(0, Math.floor((m / GROUND_SIDE_M + 0.5) * CELLS - 0.5)));
}

/** The mean over each cell's neighbours in its row, turned over its diagonal: twice is both ways. */
function meanAcross(cells: Float32Array, radius: number): Float32Array<ArrayBuffer> {
  const blurred = new Float32Array(cells.length);
  const sums = new Float32Array(CELLS + 1);
  for (let row = 0; row < CELLS; row += 1) {
    for (let i = 0; i < CELLS; i += 1) sums[i + 1] = (sums[i] ?? 0) + (cells[row * CELLS + i] ?? 0);
    for (let column = 0; column < CELLS; column += 1) {
      const upTo = (end: number): number => sums[Math.min(CELLS, Math.max(0, end))] ?? 0;
      const sum = upTo(column + radius + 1) - upTo(column - radius);
      blurred[column * CELLS + row] = sum / (2 * radius + 1);
    }
  }
  return blurred;
}
