import {
  type Camera,
  Color,
  DataTexture,
  DirectionalLight,
  DoubleSide,
  type Group,
  HemisphereLight,
  type Material,
  Matrix3,
  Mesh,
  MeshStandardMaterial,
  type Scene,
  ShaderMaterial,
  Vector3,
  type WebGLRenderer,
} from "three";
import { BASE_LAYER, SUNK_M } from "./model";

type Worn = Material | Material[];

const VERTEX = `
attribute vec3 color;
attribute vec2 uv1;
uniform mat3 mapMatrix;
uniform bool isMapOnUv1;
uniform float sunkM;
varying vec2 vMapUv;
varying vec3 vNormal;
varying vec3 vShade;

void main() {
  vMapUv = (mapMatrix * vec3(isMapOnUv1 ? uv1 : uv, 1.0)).xy;
  vNormal = normalMatrix * normal;
  vShade = color;
  vec4 place = modelViewMatrix * vec4(position, 1.0);
  gl_Position = projectionMatrix * place;
  vec4 sunk = projectionMatrix * (place - vec4(0.0, 0.0, sunkM, 0.0));
  gl_Position.z = sunk.z / sunk.w * gl_Position.w;
}`;

/** What three's own materials come to without gloss, shadows and textures of the surface. */
const fragmentFor = (lights: number): string => `
uniform vec3 colour;
uniform float opacity;
uniform float leastAlpha;
uniform bool hasOneSide;
uniform sampler2D map;
uniform vec3 up;
uniform vec3 sky;
uniform vec3 ground;
uniform vec3 towards[${lights}];
uniform vec3 strength[${lights}];
varying vec2 vMapUv;
varying vec3 vNormal;
varying vec3 vShade;

void main() {
  vec4 texel = texture2D(map, vMapUv);
  if (texel.a * opacity < leastAlpha) discard;
  vec3 normal = normalize(vNormal);
  // Of a figure the inside is seen between its lips and at the rims of its limbs: it must not stand out.
  if (hasOneSide) normal.z = abs(normal.z);
  else if (!gl_FrontFacing) normal = -normal;
  vec3 light = mix(ground, sky, 0.5 + 0.5 * dot(normal, up));
  for (int i = 0; i < ${lights}; i++) light += max(dot(normal, towards[i]), 0.0) * strength[i];
  gl_FragColor = vec4(colour * vShade * texel.rgb * light * ${(1 / Math.PI).toFixed(6)}, texel.a * opacity);
  #ifdef OPAQUE
  gl_FragColor.a = 1.0;
  #endif
  #include <colorspace_fragment>
}`;

/**
 * The picture for a device that draws without a graphics card, as long as something moves: plain skin and cloth without
 * shadows. One small program draws it all, because there it is the making of programs that takes longest: a garment
 * needs none beside the figure's.
 */
export class QuickLook {
  readonly #keys: readonly DirectionalLight[];
  readonly #light: Record<string, { value: unknown }>;
  readonly #up = new Vector3();
  readonly #towards: readonly Vector3[];
  readonly #fragment: string;
  readonly #white = new DataTexture(new Uint8Array([255, 255, 255, 255]), 1, 1);
  readonly #plain = new WeakMap<Material, Material>();

  /** `lights`: one from all around, the others from one side each. */
  constructor(lights: Group) {
    const around = lights.children.find((light) => light instanceof HemisphereLight);
    this.#keys = lights.children.filter((light) => light instanceof DirectionalLight);
    this.#towards = this.#keys.map(() => new Vector3());
    this.#fragment = fragmentFor(this.#keys.length);
    this.#white.needsUpdate = true;
    this.#light = {
      up: { value: this.#up },
      sky: { value: strengthOf(around?.color, around?.intensity) },
      ground: { value: strengthOf(around?.groundColor, around?.intensity) },
      towards: { value: this.#towards },
      strength: { value: this.#keys.map(({ color, intensity }) => strengthOf(color, intensity)) },
    };
  }

  draw(renderer: WebGLRenderer, scene: Scene, camera: Camera): void {
    this.#turnLights(scene, camera);
    const worn: [Mesh, Worn][] = [];
    scene.traverseVisible((part) => {
      if (!(part instanceof Mesh)) return;
      const { material }: { material: Worn } = part;
      worn.push([part, material]);
      part.material = Array.isArray(material) ? material.map((one) => this.#of(one)) : this.#of(material);
    });
    renderer.shadowMap.enabled = false;
    try {
      renderer.render(scene, camera);
    } finally {
      renderer.shadowMap.enabled = true;
      for (const [part, material] of worn) part.material = material;
    }
  }

  /** As the camera sees them. */
  #turnLights(scene: Scene, camera: Camera): void {
    scene.updateMatrixWorld();
    camera.updateMatrixWorld();
    this.#up.set(0, 1, 0).transformDirection(camera.matrixWorldInverse);
    for (const [at, key] of this.#keys.entries()) {
      const target = new Vector3().setFromMatrixPosition(key.target.matrixWorld);
      const way = this.#towards[at]?.setFromMatrixPosition(key.matrixWorld).sub(target);
      way?.transformDirection(camera.matrixWorldInverse);
    }
  }

  #of(full: Material): Material {
    if (!(full instanceof MeshStandardMaterial)) return full;
    const plain = this.#plain.get(full) ?? this.#plainOf(full);
    this.#plain.set(full, plain);
    return plain;
  }

  /** Goes when the one goes that it stands for, whose pictures it shows. */
  #plainOf(full: MeshStandardMaterial): ShaderMaterial {
    full.map?.updateMatrix();
    const { transparent, polygonOffset, polygonOffsetFactor, polygonOffsetUnits } = full;
    const plain = new ShaderMaterial({
      ...{ transparent, polygonOffset, polygonOffsetFactor, polygonOffsetUnits, side: DoubleSide },
      vertexShader: VERTEX,
      fragmentShader: this.#fragment,
      uniforms: {
        ...this.#light,
        colour: { value: full.color },
        opacity: { value: full.opacity },
        leastAlpha: { value: full.alphaTest },
        hasOneSide: { value: full.side !== DoubleSide },
        map: { value: full.map ?? this.#white },
        isMapOnUv1: { value: full.map?.channel === 1 },
        mapMatrix: { value: full.map?.matrix ?? new Matrix3() },
        sunkM: { value: full.name === BASE_LAYER ? SUNK_M : 0 },
      },
    });
    plain.defaultAttributeValues.color = [1, 1, 1];
    full.addEventListener("dispose", () => plain.dispose());
    return plain;
  }
}

function strengthOf(colour = new Color(0), intensity = 0): Color {
  return colour.clone().multiplyScalar(intensity);
}
