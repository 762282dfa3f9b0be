import {
  type DataTexture,
  Group,
  Mesh,
  type MeshBasicMaterial,
  MeshStandardMaterial,
  ShaderLib,
  SphereGeometry,
  type WebGLProgramParametersWithUniforms,
  type WebGLRenderer,
} from "three";
import { describe, expect, it } from "vitest";
import { drawBeneathCloth } from "./model";
import { makeContactShadow } from "./shadow";

function ball(xM: number, yM: number, zM: number): Group {
  const figure = new Group();
  const mesh = new Mesh(new SphereGeometry(0.05), new MeshStandardMaterial());
  mesh.position.set(xM, yM, zM);
  figure.add(mesh);
  figure.updateMatrixWorld(true);
  return figure;
}

/** How dark the ground is at a place, 0 to 255. */
function darkness(shadow: Mesh, xM: number, zM: number): number {
  const { map } = shadow.material as MeshBasicMaterial;
  const { image } = map as DataTexture;
  const { width: sideM } = (shadow.geometry as unknown as { parameters: { width: number } }).parameters;
  const [column, row] = [xM, -zM].map((m) => Math.floor((m / sideM + 0.5) * image.width));
  return (image.data as Uint8Array)[4 * ((row ?? 0) * image.width + (column ?? 0)) + 3] ?? 0;
}

describe("the shadow on the ground", () => {
  it("is darkest where the figure stands, fades, and reaches no corner", () => {
    const shadow = makeContactShadow(ball(0.2, 0.05, 0.4));
    const [under, near, far] = [
      darkness(shadow, 0.2, 0.4),
      darkness(shadow, 0.32, 0.4),
      darkness(shadow, 1, -1),
    ];
    expect(under).toBeGreaterThan(60);
    expect(near).toBeGreaterThan(0);
    expect(near).toBeLessThan(under / 2);
    expect(far).toBe(0);
    expect(darkness(shadow, 0.2, -0.4)).toBeLessThan(under / 10);
  });

  it("is fainter of what does not touch the ground", () => {
    const [standing, hanging] = [0.05, 0.6].map((yM) => darkness(makeContactShadow(ball(0, yM, 0)), 0, 0));
    expect(hanging).toBeGreaterThan(0);
    expect(hanging).toBeLessThan((standing ?? 0) / 2);
  });
});

describe("the figure under its clothes", () => {
  it("is drawn further away the more edge-on it is seen, so that no rim of a limb specks the cloth", () => {
    const figure = ball(0, 0, 0);
    drawBeneathCloth(figure);
    figure.traverse((part) => {
      if (!(part instanceof Mesh)) return;
      expect(part.material.polygonOffset).toBe(true);
      expect(part.material.polygonOffsetFactor).toBeGreaterThanOrEqual(1);
    });
  });

  it("keeps its base layer from standing out of the cloth, and leaves the skin's depth alone", () => {
    const compiled = (name: string): string => {
      const figure = new Group();
      const material = new MeshStandardMaterial({ name });
      figure.add(new Mesh(new SphereGeometry(), material));
      drawBeneathCloth(figure);
      const shader = { vertexShader: ShaderLib.standard.vertexShader };
      material.onBeforeCompile(shader as WebGLProgramParametersWithUniforms, {} as WebGLRenderer);
      return shader.vertexShader;
    };
    expect(compiled("skin")).toBe(ShaderLib.standard.vertexShader);
    expect(compiled("base_layer")).toMatch(/gl_Position\.z = sunk/);
  });
});
