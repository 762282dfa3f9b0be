import {
  BufferAttribute,
  BufferGeometry,
  DoubleSide,
  type Group,
  type InterleavedBufferAttribute,
  type Material,
  Mesh,
  MeshStandardMaterial,
  type Object3D,
} from "three";
import { disposeTree } from "./dispose";
import { heatColour } from "./heat";
import { parseModel } from "./model";
import { findTwins, smoothNormals } from "./normals";

type Attribute = BufferAttribute | InterleavedBufferAttribute;

const CM_PER_M = 100;
/** What the files say about their sizes, in `extras`. */
interface Extras {
  sizes?: string[];
  base?: string;
  targetNames?: string[];
  /** Size -> name of its ease attribute. */
  ease?: Record<string, string>;
  unavailable?: string[];
  /** `nodes`: one child a size, of its name; else one mesh with a morph target a size. */
  layout?: "morphs" | "nodes";
}

/** The room in the cloth, and its colours beside those of the cloth itself. */
const EASE = "ease";
const ROOM = "room";

interface Cloth {
  material: Material | Material[];
  /** The folds' shading, which the file brings as vertex colours. */
  shade: Attribute | undefined;
}

/** Throws where the bytes are no garment of ours. */
export async function readGarment(bytes: ArrayBuffer): Promise<Garment> {
  const scene = await parseModel(bytes);
  const sizes = new Map<string, Object3D>();
  const unavailable: string[] = [];
  const found: Object3D[] = [];
  scene.traverse((object) => found.push(object));
  for (const object of found) {
    const extras: Extras = object.userData;
    unavailable.push(...(extras.unavailable ?? []));
    if (extras.layout === "nodes") takeNodes(object, extras, sizes);
    else if (object instanceof Mesh && extras.base !== undefined) expand(object, extras, sizes);
  }
  if (sizes.size === 0) throw new Error("a garment without sizes");
  return new Garment(scene, sizes, unavailable);
}

/** One garment in its sizes on one body. Exactly one size is drawn; another is shown without any work. */
export class Garment {
  readonly object: Group;
  /** Those that would have to stretch too far: there is no picture of them. */
  readonly unavailable: readonly string[];
  readonly #sizes: ReadonlyMap<string, Object3D>;
  readonly #cloth = new Map<Mesh, Cloth>();
  readonly #heat = new MeshStandardMaterial({ vertexColors: true, roughness: 1, side: DoubleSide });

  constructor(object: Group, sizes: ReadonlyMap<string, Object3D>, unavailable: readonly string[]) {
    this.object = object;
    this.#sizes = sizes;
    this.unavailable = unavailable;
    object.traverse((part) => {
      if (part instanceof Mesh) this.#cloth.set(part, clothOf(part));
    });
    for (const part of sizes.values()) part.visible = false;
  }

  /** False: there is no picture of this size yet, or at all, and none is shown in its place. */
  show(size: string | null): boolean {
    const chosen = size === null ? undefined : this.#sizes.get(size);
    for (const part of this.#sizes.values()) part.visible = part === chosen;
    return chosen !== undefined;
  }

  /** Colours for the room in the cloth instead of the cloth itself. */
  showHeat(isOn: boolean): void {
    for (const [mesh, { material, shade }] of this.#cloth) {
      const room = isOn ? roomOf(mesh.geometry) : undefined;
      mesh.material = room ? this.#heat : material;
      const colour = room ?? shade;
      if (colour) mesh.geometry.setAttribute("color", colour);
      else mesh.geometry.deleteAttribute("color");
    }
  }

  dispose(): void {
    this.showHeat(false);
    this.#heat.dispose();
    disposeTree(this.object);
  }
}

/** A brand's own models: each size is a child of that name, with meshes of its own. */
function takeNodes(root: Object3D, extras: Extras, sizes: Map<string, Object3D>): void {
  for (const child of root.children) {
    const size: string = child.userData.name ?? child.name;
    sizes.set(size, child);
    child.traverse((part) => {
      if (!(part instanceof Mesh)) return;
      part.geometry = part.geometry.clone(); // the loader shares what two sizes have in common
      keepRoom(part.geometry, part.geometry, extras.ease?.[size]);
    });
  }
}

/** The loader writes the names of attributes it does not know in small letters. */
function keepRoom(target: BufferGeometry, source: BufferGeometry, attribute: string | undefined): void {
  const ease = source.getAttribute((attribute ?? "").toLowerCase());
  if (ease) target.setAttribute(EASE, ease);
}

/** Made when they are first asked for. */
function roomOf(geometry: BufferGeometry): Attribute | undefined {
  const ease = geometry.getAttribute(EASE);
  if (ease && !geometry.hasAttribute(ROOM)) geometry.setAttribute(ROOM, heatColours(ease));
  return geometry.getAttribute(ROOM);
}

function clothOf({ material, geometry }: Mesh): Cloth {
  return { material, shade: geometry.getAttribute("color") };
}

/** Makes one mesh a size out of a mesh with a morph target a size: switching is then no more than showing. */
function expand(mesh: Mesh, extras: Extras, sizes: Map<string, Object3D>): void {
  const targets = mesh.geometry.morphAttributes.position ?? [];
  if (targets.length === 0) {
    keepRoom(mesh.geometry, mesh.geometry, extras.ease?.[extras.base ?? ""]);
    sizes.set(extras.base ?? "", mesh); // as the file has it: somebody waits for a first picture
    return;
  }
  const base = place(mesh.geometry.getAttribute("position"));
  const twin = findTwins(base, weldStep(mesh.geometry));
  const shapes = [base, ...targets.map((target) => added(base, place(target)))];
  for (const [at, size] of [extras.base ?? "", ...(extras.targetNames ?? [])].entries()) {
    const worn = new Mesh(wornShape(mesh.geometry, shapes[at] ?? base, twin), mesh.material);
    keepRoom(worn.geometry, mesh.geometry, extras.ease?.[size]);
    worn.position.copy(mesh.position);
    worn.quaternion.copy(mesh.quaternion);
    worn.scale.copy(mesh.scale);
    worn.castShadow = true;
    worn.receiveShadow = true;
    mesh.parent?.add(worn);
    sizes.set(size, worn);
  }
  mesh.removeFromParent();
}

function wornShape(source: BufferGeometry, positions: Float32Array, twin: Uint32Array): BufferGeometry {
  const index = source.getIndex();
  if (!index) throw new Error("a garment without faces");
  const geometry = new BufferGeometry();
  geometry.setIndex(index);
  geometry.setAttribute("position", new BufferAttribute(positions, 3));
  geometry.setAttribute("normal", new BufferAttribute(smoothNormals(positions, index.array, twin), 3));
  for (const name of ["uv", "uv1", "color"]) {
    const attribute = source.getAttribute(name);
    if (attribute) geometry.setAttribute(name, attribute);
  }
  return geometry;
}

function heatColours(ease: Attribute): BufferAttribute {
  const colours = new Float32Array(3 * ease.count);
  for (let i = 0; i < ease.count; i += 1) colours.set(heatColour(ease.getX(i) * CM_PER_M), 3 * i);
  return new BufferAttribute(colours, 3);
}

/** As floats, whatever they are stored as. */
function place(attribute: Attribute): Float32Array {
  const values = new Float32Array(3 * attribute.count);
  for (let i = 0; i < attribute.count; i += 1) {
    values.set([attribute.getX(i), attribute.getY(i), attribute.getZ(i)], 3 * i);
  }
  return values;
}

function added(base: Float32Array, offsets: Float32Array): Float32Array {
  return base.map((value, i) => value + (offsets[i] ?? 0));
}

/** Positions are whole steps of a grid in quantised files, else metres: doubles are equal, not merely near. */
function weldStep(geometry: BufferGeometry): number {
  geometry.computeBoundingSphere();
  return (geometry.boundingSphere?.radius ?? 1) * 5e-5;
}
