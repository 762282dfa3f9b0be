import {
  ACESFilmicToneMapping,
  DirectionalLight,
  HemisphereLight,
  type Object3D,
  PCFShadowMap,
  PerspectiveCamera,
  Scene,
  WebGLRenderer,
} from "three";

/** Screens beyond this density gain nothing visible and pay four times the pixels. */
const MAX_PIXEL_RATIO = 2;
const FIELD_OF_VIEW_DEG = 24;
const NEAR_M = 0.1;
const FAR_M = 30;
const SHADOW_PX = 1536;
/** Half the side of the lit square: a tall figure with its arms out. */
const SHADOW_REACH_M = 1.35;
/** Cloth lies some millimetres off the body; less than this speckles. */
const SHADOW_BIAS_M = 0.008;

export interface Studio {
  renderer: WebGLRenderer;
  scene: Scene;
  camera: PerspectiveCamera;
}

/** Throws where the device has no WebGL. */
export function makeStudio(canvas: HTMLCanvasElement): Studio {
  // The drawn picture is kept, so that it can be read back and compared: there is no loop that would redraw it.
  const renderer = new WebGLRenderer({ canvas, antialias: true, alpha: true, preserveDrawingBuffer: true });
  renderer.setPixelRatio(Math.min(window.devicePixelRatio, MAX_PIXEL_RATIO));
  renderer.toneMapping = ACESFilmicToneMapping;
  renderer.toneMappingExposure = 1.05;
  renderer.shadowMap.enabled = true;
  renderer.shadowMap.type = PCFShadowMap;
  const scene = new Scene();
  scene.add(...lights());
  const camera = new PerspectiveCamera(FIELD_OF_VIEW_DEG, 1, NEAR_M, FAR_M);
  return { renderer, scene, camera };
}

/** A soft studio: sky and floor, a key from the upper left, a fill from the right, two rims from behind. */
function lights(): Object3D[] {
  const key = new DirectionalLight(0xfff4e8, 2.5);
  key.position.set(-2.2, 3.4, 3);
  castShadows(key);
  const fill = new DirectionalLight(0xe8f0ff, 0.7);
  fill.position.set(3, 1.6, 2);
  const rimLeft = new DirectionalLight(0xffffff, 1.5);
  rimLeft.position.set(-2.6, 2.4, -3);
  const rimRight = new DirectionalLight(0xffffff, 1.1);
  rimRight.position.set(2.6, 2, -3);
  return [key.target, new HemisphereLight(0xffffff, 0xb9aea2, 0.95), key, fill, rimLeft, rimRight];
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
