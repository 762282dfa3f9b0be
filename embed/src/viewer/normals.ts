const FARTHEST_STEP = 100_000;
/** Its third power is the largest whole number that stays exact, or just below it. */
const STEPS = 2 * FARTHEST_STEP + 1;

/**
 * Smooth normals (3 a vertex) of a mesh whose vertices are doubled along seams: doubles share one normal,
 * so that a seam of the texture is no crease in the cloth. `twin[i]` is the vertex that stands for vertex i.
 */
export function smoothNormals(
  positions: Float32Array,
  indices: ArrayLike<number>,
  twin: Uint32Array,
): Float32Array {
  const sums = new Float32Array(positions.length);
  for (let i = 0; i < indices.length; i += 3) addFace(sums, positions, corners(indices, i), twin);
  const normals = new Float32Array(positions.length);
  for (let i = 0; i < twin.length; i += 1) {
    const at = 3 * (twin[i] ?? i);
    const [x, y, z] = [sums[at] ?? 0, sums[at + 1] ?? 0, sums[at + 2] ?? 0];
    const length = Math.hypot(x, y, z) || 1;
    normals.set([x / length, y / length, z / length], 3 * i);
  }
  return normals;
}

/** For each vertex the first one at the same place. No coordinate may be more than 100,000 steps from 0. */
export function findTwins(positions: Float32Array, stepM: number): Uint32Array {
  const seen = new Map<number, number>();
  const twin = new Uint32Array(positions.length / 3);
  const step = (at: number): number => Math.round((positions[at] ?? 0) / stepM) + FARTHEST_STEP;
  for (let i = 0; i < twin.length; i += 1) {
    const place = (step(3 * i) * STEPS + step(3 * i + 1)) * STEPS + step(3 * i + 2);
    const first = seen.get(place) ?? i;
    if (first === i) seen.set(place, i);
    twin[i] = first;
  }
  return twin;
}

type Corners = readonly [number, number, number];

function corners(indices: ArrayLike<number>, at: number): Corners {
  return [indices[at] ?? 0, indices[at + 1] ?? 0, indices[at + 2] ?? 0];
}

/** Weighted by area: the cross product's length is twice the face's. */
function addFace(sums: Float32Array, positions: Float32Array, [a, b, c]: Corners, twin: Uint32Array): void {
  const at = (vertex: number, axis: number): number => positions[3 * vertex + axis] ?? 0;
  const side = (to: number, axis: number): number => at(to, axis) - at(a, axis);
  const normal = [
    side(b, 1) * side(c, 2) - side(b, 2) * side(c, 1),
    side(b, 2) * side(c, 0) - side(b, 0) * side(c, 2),
    side(b, 0) * side(c, 1) - side(b, 1) * side(c, 0),
  ];
  for (const corner of [a, b, c]) {
    const start = 3 * (twin[corner] ?? corner);
    normal.forEach((value, axis) => {
      sums[start + axis] = (sums[start + axis] ?? 0) + value;
    });
  }
}
