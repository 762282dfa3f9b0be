import { Box3, Group, Mesh, MeshStandardMaterial, Vector3 } from "three";
import { MeshoptDecoder } from "three/examples/jsm/libs/meshopt_decoder.module.js";
import { GLTFLoader } from "three/examples/jsm/loaders/GLTFLoader.js";

/** Reads a GLB; plain, quantised or meshopt-compressed. Feet on the ground, centred over the origin. */
export async function readModel(bytes: ArrayBuffer): Promise<Group> {
  const loader = new GLTFLoader().setMeshoptDecoder(MeshoptDecoder);
  const { scene } = await loader.parseAsync(bytes, "");
  const model = new Group();
  model.add(scene);
  const box = new Box3().setFromObject(scene);
  const centre = box.getCenter(new Vector3());
  scene.position.sub(new Vector3(centre.x, box.min.y, centre.z));
  model.updateMatrixWorld(true);
  model.traverse((object) => {
    if (object instanceof Mesh && object.material instanceof MeshStandardMaterial) matte(object.material);
  });
  return model;
}

/** One matte look for every figure: no shine, whatever the file says. */
function matte(material: MeshStandardMaterial): void {
  material.roughness = Math.max(material.roughness, 0.75);
  material.metalness = 0;
}

/** Width, height and depth in metres. */
export function sizeOf(model: Group): Vector3 {
  return new Box3().setFromObject(model).getSize(new Vector3());
}
