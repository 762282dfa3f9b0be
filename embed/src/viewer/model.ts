import { Box3, Group, Mesh, MeshStandardMaterial, Vector3 } from "three";
import { MeshoptDecoder } from "three/examples/jsm/libs/meshopt_decoder.module.js";
import { GLTFLoader } from "three/examples/jsm/loaders/GLTFLoader.js";

/** Seams and threads stay lines where the cloth turns away; a card that can do less does less. */
const ANISOTROPY = 8;

export const BASE_LAYER = "base_layer";
export const SUNK_M = 0.006;

/** Reads a GLB; plain, quantised or meshopt-compressed. */
export async function parseModel(bytes: ArrayBuffer): Promise<Group> {
  const loader = new GLTFLoader().setMeshoptDecoder(MeshoptDecoder);
  const { scene } = await loader.parseAsync(bytes, "");
  scene.traverse((object) => {
    if (!(object instanceof Mesh)) return;
    object.castShadow = true;
    object.receiveShadow = true;
    if (object.material instanceof MeshStandardMaterial) prepare(object.material);
  });
  return scene;
}

/** A place for the figure and all it wears, moved so that its feet stand on the ground over the origin. */
export function standOnGround(figure: Group): Group {
  const stand = new Group();
  stand.add(figure);
  const box = new Box3().setFromObject(figure);
  const centre = box.getCenter(new Vector3());
  stand.position.set(-centre.x, -box.min.y, -centre.z);
  stand.updateMatrixWorld(true);
  return stand;
}

/** One matte look for everything: no shine, whatever the file says. */
function prepare(material: MeshStandardMaterial): void {
  material.roughness = Math.max(material.roughness, 0.75);
  material.metalness = 0;
  for (const texture of [material.map, material.normalMap, material.aoMap]) {
    if (texture) texture.anisotropy = ANISOTROPY;
  }
}

/**
 * Draws the skin a little further away than it is, and the more so the more edge-on it is seen: where a pixel holds
 * both the rim of a limb and the cloth some millimetres before it, the limb would else show as a dark speck.
 */
export function drawBeneathCloth(figure: Group): void {
  figure.traverse((object) => {
    if (!(object instanceof Mesh && object.material instanceof MeshStandardMaterial)) return;
    object.material.polygonOffset = true;
    object.material.polygonOffsetFactor = 1;
    object.material.polygonOffsetUnits = 1;
    if (object.material.name === BASE_LAYER) sinkDepth(object.material);
  });
}

/**
 * The base layer is smoothed and lifted for itself, and may stand out of the cloth over it: it is compared with the
 * cloth as if it lay further away, and stays where it is.
 */
function sinkDepth(material: MeshStandardMaterial): void {
  material.onBeforeCompile = (shader) => {
    shader.vertexShader = shader.vertexShader.replace(
      "#include <project_vertex>",
      `#include <project_vertex>
      vec4 sunk = projectionMatrix * (mvPosition - vec4(0.0, 0.0, ${SUNK_M.toFixed(3)}, 0.0));
      gl_Position.z = sunk.z / sunk.w * gl_Position.w;`,
    );
  };
}

/** Width, height and depth in metres. */
export function sizeOf(model: Group): Vector3 {
  return new Box3().setFromObject(model).getSize(new Vector3());
}
