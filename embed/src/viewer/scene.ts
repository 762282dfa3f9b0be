import {
  ACESFilmicToneMapping,
  DirectionalLight,
  HemisphereLight,
  type Object3D,
  PerspectiveCamera,
  Scene,
  WebGLRenderer,
} from "three";

/** Screens beyond this density gain nothing visible and pay four times the pixels. */
const MAX_PIXEL_RATIO = 2;
const FIELD_OF_VIEW_DEG = 24;
const NEAR_M = 0.1;
const FAR_M = 30;

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
  const scene = new Scene();
  scene.add(...lights());
  const camera = new PerspectiveCamera(FIELD_OF_VIEW_DEG, 1, NEAR_M, FAR_M);
  return { renderer, scene, camera };
}

/** A soft studio: sky and floor, a key from the upper left, a fill from the right, two rims from behind. */
function lights(): Object3D[] {
  const key = new DirectionalLight(0xfff4e8, 2.1);
  key.position.set(-2.2, 3.4, 3);
  const fill = new DirectionalLight(0xe8f0ff, 0.7);
  fill.position.set(3, 1.6, 2);
  const rimLeft = new DirectionalLight(0xffffff, 1.5);
  rimLeft.position.set(-2.6, 2.4, -3);
  const rimRight = new DirectionalLight(0xffffff, 1.1);
  rimRight.position.set(2.6, 2, -3);
  return [new HemisphereLight(0xffffff, 0xcfc8c0, 1.15), key, fill, rimLeft, rimRight];
}
