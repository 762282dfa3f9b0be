import {
  DoubleSide,
  type Material,
  Mesh,
  MeshBasicMaterial,
  MeshStandardMaterial,
  PerspectiveCamera,
  PlaneGeometry,
  Scene,
  ShaderMaterial,
  Texture,
  type Vector3,
  type WebGLRenderer,
} from "three";
import { describe, expect, it, vi } from "vitest";
import { QuickLook } from "./quick";
import { makeLights } from "./scene";

/** Notes what each part is made of while it is being drawn. */
class PaperRenderer {
  readonly shadowMap = { enabled: true };
  drawn: Material[] = [];
  hadShadows = true;
  fails = false;

  render(scene: Scene): void {
    if (this.fails) throw new Error("context lost");
    this.hadShadows = this.shadowMap.enabled;
    this.drawn = [];
    scene.traverse((part) => {
      if (part instanceof Mesh) this.drawn.push(part.material);
    });
  }

  asRenderer(): WebGLRenderer {
    return this as unknown as WebGLRenderer;
  }
}

function dressedScene(): {
  scene: Scene;
  skin: MeshStandardMaterial;
  cloth: MeshStandardMaterial;
  ground: Mesh;
} {
  const print = new Texture();
  print.channel = 1;
  print.repeat.set(4, 4);
  const skin = new MeshStandardMaterial({ name: "skin" });
  const cloth = new MeshStandardMaterial({ name: "jersey", map: print, side: DoubleSide });
  const ground = new Mesh(new PlaneGeometry(), new MeshBasicMaterial());
  const scene = new Scene();
  for (const material of [skin, cloth]) scene.add(new Mesh(new PlaneGeometry(), material));
  scene.add(ground);
  return { scene, skin, cloth, ground };
}

function uniformsOf(material: Material | undefined): Record<string, unknown> {
  if (!(material instanceof ShaderMaterial)) throw new Error("not drawn quickly");
  return Object.fromEntries(Object.entries(material.uniforms).map(([name, { value }]) => [name, value]));
}

describe("the quick look", () => {
  it("draws skin and cloth by one program, without shadows, and leaves everything as it was", () => {
    const { scene, skin, cloth, ground } = dressedScene();
    const [renderer, lights] = [new PaperRenderer(), makeLights()];
    scene.add(lights);
    new QuickLook(lights).draw(renderer.asRenderer(), scene, new PerspectiveCamera());
    const [drawnSkin, drawnCloth, drawnGround] = renderer.drawn as ShaderMaterial[];
    expect(drawnSkin?.fragmentShader).toBe(drawnCloth?.fragmentShader);
    expect(drawnSkin?.vertexShader).toBe(drawnCloth?.vertexShader);
    expect(drawnSkin?.side).toBe(drawnCloth?.side);
    expect(drawnGround).toBe(ground.material);
    expect([renderer.hadShadows, renderer.shadowMap.enabled]).toEqual([false, true]);
    expect(scene.children.slice(0, 2).map((part) => (part as Mesh).material)).toEqual([skin, cloth]);
  });

  it("shows colour and print of each where the file has them", () => {
    const { scene, skin, cloth } = dressedScene();
    const [renderer, lights] = [new PaperRenderer(), makeLights()];
    new QuickLook(lights).draw(renderer.asRenderer(), scene, new PerspectiveCamera());
    const [onSkin, onCloth] = renderer.drawn.map((material, at) => (at < 2 ? uniformsOf(material) : {}));
    expect(onSkin).toMatchObject({ colour: skin.color, isMapOnUv1: false, hasOneSide: true });
    expect(onCloth).toMatchObject({ map: cloth.map, isMapOnUv1: true, hasOneSide: false });
    expect(cloth.map?.matrix.elements[0], "its tiles are as small as the file says").toBe(4);
  });

  it("is lit from where the camera sees the lights", () => {
    const { scene } = dressedScene();
    const [renderer, lights] = [new PaperRenderer(), makeLights()];
    scene.add(lights);
    const quick = new QuickLook(lights);
    const seenFrom = (azimuthRad: number): readonly Vector3[] => {
      const camera = new PerspectiveCamera();
      camera.position.set(5 * Math.sin(azimuthRad), 1, 5 * Math.cos(azimuthRad));
      camera.lookAt(0, 1, 0);
      lights.rotation.y = azimuthRad;
      quick.draw(renderer.asRenderer(), scene, camera);
      return (uniformsOf(renderer.drawn[0]).towards as Vector3[]).map((way) => way.clone());
    };
    const [front, back] = [seenFrom(0), seenFrom(Math.PI)];
    expect(front.length).toBeGreaterThan(2);
    for (const [at, way] of front.entries()) {
      expect(way.length()).toBeCloseTo(1);
      expect(way.distanceTo(back[at] ?? way), "they turn with the camera").toBeCloseTo(0);
    }
  });

  it("gives back what a garment used when the garment goes, and its materials when a picture fails", () => {
    const { scene, cloth } = dressedScene();
    const renderer = new PaperRenderer();
    const quick = new QuickLook(makeLights());
    quick.draw(renderer.asRenderer(), scene, new PerspectiveCamera());
    const gone = vi.fn();
    renderer.drawn[1]?.addEventListener("dispose", gone);
    renderer.fails = true;
    expect(() => quick.draw(renderer.asRenderer(), scene, new PerspectiveCamera())).toThrow();
    expect((scene.children[1] as Mesh).material).toBe(cloth);
    expect(renderer.shadowMap.enabled).toBe(true);
    cloth.dispose();
    expect(gone).toHaveBeenCalledOnce();
  });
});
