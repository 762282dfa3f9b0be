import { type Group, MathUtils, Spherical, Vector3 } from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
import { disposeTree } from "./dispose";
import { type Garment, readGarment } from "./garment";
import { drawBeneathCloth, parseModel, sizeOf, standOnGround } from "./model";
import { QuickLook } from "./quick";
import { FINE_PIXEL_RATIO, makeStudio, type Studio } from "./scene";
import { makeContactShadow } from "./shadow";

export type View = "front" | "side" | "back";

/** Where the camera stands around the figure, in radians; the figure faces +z. */
const AZIMUTH_RAD: Record<View, number> = { front: 0, side: Math.PI / 2, back: Math.PI };
const POLAR_RAD = MathUtils.degToRad(84);
const TURN_MS = 450;
/** What has not moved for so long is drawn finely. A bare figure waits for its garment, which comes at any moment. */
const STILL_MS = 350;
const STILL_BARE_MS = 2000;
/** A fine picture holds up a slow device for half a second; after a draft its final picture should come first. */
const STILL_SLOW_MS = 1000;
const KEY_TURN_RAD = MathUtils.degToRad(12);
const KEY_ZOOM = 1.12;
/** Space around the figure: 1 would touch the edges. */
const MARGIN = 1.08;

export interface ViewerOptions {
  canvas: HTMLCanvasElement;
  isMotionReduced: boolean;
  /** The graphics context went away: the words and the table stay. */
  onLost: () => void;
}

/** Loads the figure and draws its first picture. Throws where there is no WebGL or the file is no model. */
export async function openViewer(bytes: ArrayBuffer, options: ViewerOptions): Promise<Viewer> {
  const figure = await parseModel(bytes);
  try {
    return new Viewer(figure, options);
  } catch (error) {
    disposeTree(figure);
    throw error;
  }
}

/** One figure that can be turned and zoomed. Draws when something changed; nothing runs while it is still. */
export class Viewer {
  readonly #canvas: HTMLCanvasElement;
  readonly #studio: Studio;
  /** How a slow device draws what moves. */
  readonly #quick: QuickLook | null;
  readonly #controls: OrbitControls;
  readonly #resizes: ResizeObserver;
  readonly #stop = new AbortController();
  readonly #isMotionReduced: boolean;
  /** Width, height and depth in metres. */
  readonly #size: Vector3;
  /** The figure and what it wears. */
  readonly #stand: Group;
  #garment: Garment | null = null;
  #isHeatShown = false;
  /** Of the last picture, in CSS pixels. */
  #width = 0;
  #height = 0;
  #frame = 0;
  #turn = 0;
  #fine = 0;

  constructor(figure: Group, { canvas, isMotionReduced, onLost }: ViewerOptions) {
    this.#canvas = canvas;
    this.#isMotionReduced = isMotionReduced;
    this.#studio = makeStudio(canvas);
    this.#quick = this.#studio.isSlow ? new QuickLook(this.#studio.lights) : null;
    drawBeneathCloth(figure);
    this.#stand = standOnGround(figure);
    this.#studio.scene.add(this.#stand, makeContactShadow(this.#stand));
    this.#size = sizeOf(this.#stand);
    this.#controls = this.#makeControls();
    this.#resizes = new ResizeObserver(() => this.#fit());
    this.#resizes.observe(canvas);
    const { signal } = this.#stop;
    canvas.addEventListener("keydown", (event) => this.#press(event), { signal });
    canvas.addEventListener("webglcontextlost", onLost, { signal });
    this.#place(AZIMUTH_RAD.front, this.#distanceM());
    this.#fit();
  }

  show(view: View): void {
    this.#turnTo(AZIMUTH_RAD[view]);
  }

  /** Puts a garment on, in place of the one before; the camera stays where it is. Throws when it cannot be read. */
  async dress(bytes: ArrayBuffer, size: string | null): Promise<void> {
    const garment = await readGarment(bytes);
    if (this.#stop.signal.aborted) {
      garment.dispose();
      return;
    }
    this.#garment?.object.removeFromParent();
    this.#garment?.dispose();
    this.#garment = garment;
    garment.show(size);
    garment.showHeat(this.#isHeatShown);
    this.#stand.add(garment.object);
    this.#draw();
  }

  /** In the next picture. False: this picture of the garment does not have the size. */
  showSize(size: string | null): boolean {
    const isShown = this.#garment?.show(size) ?? false;
    this.#draw();
    return isShown;
  }

  /** The size would have to stretch too far for this figure: there will be no picture of it. */
  isTooSmall(size: string): boolean {
    return this.#garment?.unavailable.includes(size) ?? false;
  }

  showHeat(isOn: boolean): void {
    this.#isHeatShown = isOn;
    this.#garment?.showHeat(isOn);
    this.#draw();
  }

  dispose(): void {
    this.#stop.abort();
    this.#garment?.dispose();
    this.#resizes.disconnect();
    cancelAnimationFrame(this.#frame);
    cancelAnimationFrame(this.#turn);
    clearTimeout(this.#fine);
    this.#controls.dispose();
    disposeTree(this.#studio.scene);
    this.#studio.renderer.dispose();
    // Browsers keep only a few contexts; give this one back now, not when it is collected.
    this.#studio.renderer.forceContextLoss();
  }

  #makeControls(): OrbitControls {
    const controls = new OrbitControls(this.#studio.camera, this.#canvas);
    controls.enablePan = false;
    controls.minPolarAngle = MathUtils.degToRad(45);
    controls.maxPolarAngle = MathUtils.degToRad(92);
    controls.minDistance = this.#size.y * 0.6;
    controls.maxDistance = this.#size.y * 4.5;
    controls.target.set(0, this.#size.y / 2, 0);
    controls.addEventListener("change", () => this.#draw());
    controls.addEventListener("start", () => cancelAnimationFrame(this.#turn));
    return controls;
  }

  /** Once for however many changes there were since the last picture. */
  #draw(): void {
    this.#frame ||= requestAnimationFrame(() => this.#render());
  }

  /** As well as it is done at once; and once more, finely, where that was not so and nothing has changed since. */
  #render(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const screen = this.#quick ? 1 : Math.min(window.devicePixelRatio, FINE_PIXEL_RATIO);
    this.#picture(screen, this.#quick);
    clearTimeout(this.#fine);
    if (screen < FINE_PIXEL_RATIO)
      this.#fine = window.setTimeout(() => this.#picture(FINE_PIXEL_RATIO, null), this.#stillMs());
  }

  #stillMs(): number {
    if (!this.#garment) return STILL_BARE_MS;
    return this.#quick ? STILL_SLOW_MS : STILL_MS;
  }

  #picture(pixelRatio: number, quick: QuickLook | null): void {
    const { renderer, scene, camera, lights } = this.#studio;
    if (renderer.getPixelRatio() !== pixelRatio) renderer.setPixelRatio(pixelRatio);
    lights.rotation.y = this.#orbit().theta;
    if (quick) quick.draw(renderer, scene, camera);
    else renderer.render(scene, camera);
  }

  /** Follows the size of the canvas; drawn in the same turn, so that it never flickers. */
  #fit(): void {
    const { clientWidth, clientHeight } = this.#canvas;
    if (clientWidth === 0 || clientHeight === 0) return;
    if (clientWidth === this.#width && clientHeight === this.#height) return;
    [this.#width, this.#height] = [clientWidth, clientHeight];
    const { renderer, camera } = this.#studio;
    renderer.setSize(clientWidth, clientHeight, false);
    camera.aspect = clientWidth / clientHeight;
    camera.updateProjectionMatrix();
    this.#render();
  }

  #press(event: KeyboardEvent): void {
    const { theta, radius } = this.#orbit();
    const moves: Record<string, () => void> = {
      ArrowLeft: () => this.#place(theta - KEY_TURN_RAD, radius),
      ArrowRight: () => this.#place(theta + KEY_TURN_RAD, radius),
      "+": () => this.#place(theta, radius / KEY_ZOOM),
      "=": () => this.#place(theta, radius / KEY_ZOOM),
      "-": () => this.#place(theta, radius * KEY_ZOOM),
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    cancelAnimationFrame(this.#turn);
    move();
  }

  #turnTo(azimuthRad: number): void {
    cancelAnimationFrame(this.#turn);
    const { theta, radius } = this.#orbit();
    const wayRad = shortestWay(azimuthRad - theta);
    const startedMs = performance.now();
    const step = (nowMs: number): void => {
      const share = this.#isMotionReduced ? 1 : Math.min(1, Math.max(0, (nowMs - startedMs) / TURN_MS));
      this.#place(theta + wayRad * easeInOut(share), radius);
      if (share < 1) this.#turn = requestAnimationFrame(step);
    };
    step(startedMs);
  }

  #orbit(): Spherical {
    return new Spherical().setFromVector3(this.#studio.camera.position.clone().sub(this.#controls.target));
  }

  #place(azimuthRad: number, radiusM: number): void {
    const { minDistance, maxDistance, target } = this.#controls;
    const distanceM = MathUtils.clamp(radiusM, minDistance, maxDistance);
    const offset = new Vector3().setFromSphericalCoords(distanceM, POLAR_RAD, azimuthRad);
    this.#studio.camera.position.copy(target).add(offset);
    this.#controls.update();
    this.#draw();
  }

  /** From here the whole figure is seen, hands too where the canvas is narrow. */
  #distanceM(): number {
    const { clientWidth, clientHeight } = this.#canvas;
    const aspect = clientHeight > 0 ? clientWidth / clientHeight : 1;
    const halfM = (Math.max(this.#size.y, this.#size.x / aspect) * MARGIN) / 2;
    return halfM / Math.tan(MathUtils.degToRad(this.#studio.camera.fov / 2)) + this.#size.z / 2;
  }
}

function shortestWay(rad: number): number {
  return MathUtils.euclideanModulo(rad + Math.PI, 2 * Math.PI) - Math.PI;
}

function easeInOut(share: number): number {
  return share * share * (3 - 2 * share);
}
