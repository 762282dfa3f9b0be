import { Material, Mesh, type Object3D, Texture } from "three";

/** Frees what a tree of objects holds on the graphics card: geometries, materials and their textures. */
export function disposeTree(root: Object3D): void {
  root.traverse((object) => {
    if (!(object instanceof Mesh)) return;
    object.geometry.dispose();
    const materials: unknown[] = Array.isArray(object.material) ? object.material : [object.material];
    for (const material of materials) if (material instanceof Material) disposeMaterial(material);
  });
}

function disposeMaterial(material: Material): void {
  for (const value of Object.values(material)) if (value instanceof Texture) value.dispose();
  material.dispose();
}
