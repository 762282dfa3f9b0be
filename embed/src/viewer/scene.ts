import {
  DirectionalLight,
  Group,
  HemisphereLight,
  PCFShadowMap,
  PerspectiveCamera,
  Scene,
  WebGLRenderer,
} from "three";

/**
 * A still picture has this many pixels a side of a CSS pixel on every screen: a seam is a pixel or two wide, and on a
 * coarse screen it would break into dots. Beyond it nothing visible is gained for four times the pixels.
 */
export const FINE_PIXEL_RATIO = 2;
const FIELD_OF_VIEW_DEG = 24;
const NEAR_M = 0.1;
const FAR_M = 30;
const SHADOW_PX = 1536;
/** Half the side of the lit square: a tall figure with its arms out. */
const SHADOW_REACH_M = 1.35;
/** Cloth lies some millimetres off the body; less than this speckles. */
const SHADOW_BIAS_M = 0.008;

/** What browsers and systems draw with where there is no card. */
const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;

export interface Studio {
  renderer: WebGLRenderer;
  scene: Scene;
  camera: PerspectiveCamera;
  /** Turned with the camera, as if the figure stood on a turntable: every view is lit as well as the front. */
  lights: Group;
  /** Without a graphics card: a picture takes long enough to be felt. */
  isSlow: boolean;
}

/** Throws where the device has no WebGL. */
export function makeStudio(canvas: HTMLCanvasElement): Studio {
  const isSlow = !hasGraphicsCard();
  // The drawn picture is kept, so that it can be read back and compared: there is no loop that would redraw it.
  const renderer = new WebGLRenderer({
    canvas,
    antialias: !isSlow,
    alpha: true,
    preserveDrawingBuffer: true,
  });
  renderer.shadowMap.enabled = true;
  renderer.shadowMap.type = PCFShadowMap;
  const scene = new Scene();
  const lights = makeLights();
  scene.add(lights);
  const camera = new PerspectiveCamera(FIELD_OF_VIEW_DEG, 1, NEAR_M, FAR_M);
  return { renderer, scene, camera, lights, isSlow };
}

/** Asked on a canvas of its own: antialiasing, which costs such a device most, is chosen with the context. */
function hasGraphicsCard(): boolean {
  const probe = document.createElement("canvas").getContext("webgl2", { failIfMajorPerformanceCaveat: true });
  if (!probe) return false;
  const info = probe.getExtension("WEBGL_debug_renderer_info");
  const name = String(probe.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : probe.RENDERER));
  probe.getExtension("WEBGL_lose_context")?.loseContext();
  return !SOFTWARE.test(name);
}

/** Light from all around; a wide soft key from the upper left, in two so that its shadow is soft; a fill from the right; two rims from behind. */
export function makeLights(): Group {
  const lights = new Group();
  const key = light(0xfffcf9, 1.25, [-2.2, 3, 3.4]);
  castShadows(key);
  lights.add(
    new HemisphereLight(0xffffff, 0xdcd8d3, 1.45),
    key,
    key.target,
    light(0xfffcf9, 0.5, [-0.6, 2.6, 3.6]),
    light(0xf4f7ff, 0.35, [3.2, 1.6, 1.8]),
    light(0xffffff, 0.7, [-2.8, 2.2, -2.6]),
    light(0xffffff, 0.6, [2.8, 2, -2.6]),
  );
  return lights;
}

function light(colour: number, strength: number, from: readonly [number, number, number]): DirectionalLight {
  const made = new DirectionalLight(colour, strength);
  made.position.set(...from);
  return made;
}

/** What the cloth casts on the body and on itself: this is what tells a sleeve from a tattoo. */
function castShadows(light: DirectionalLight): void {
  light.castShadow = true;
  light.shadow.mapSize.set(SHADOW_PX, SHADOW_PX);
  const { camera } = light.shadow;
  [camera.left, camera.right, camera.bottom, camera.top] = [
    -SHADOW_REACH_M,
    SHADOW_REACH_M,
    -SHADOW_REACH_M,
    SHADOW_REACH_M,
  ];
  [camera.near, camera.far] = [1, 9];
  light.target.position.set(0, 1, 0);
  light.shadow.normalBias = SHADOW_BIAS_M;
  light.shadow.radius = 5;
}
