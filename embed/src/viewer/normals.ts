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

/** For each vertex the first one at the same place. */
export function findTwins(positions: Float32Array, stepM: number): Uint32Array {
  const seen = new Map<string, number>();
  const twin = new Uint32Array(positions.length / 3);
  for (let i = 0; i < twin.length; i += 1) {
    const place = [0, 1, 2].map((axis) => Math.round((positions[3 * i + axis] ?? 0) / stepM)).join();
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
