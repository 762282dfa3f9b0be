import { CanvasTexture, Mesh, MeshBasicMaterial, type Object3D, PlaneGeometry, Vector3 } from "three";

/** Only what is nearer to the ground than this darkens it. */
const REACH_M = 0.25;
const GROUND_SIDE_M = 1.6;
const TEXTURE_PX = 256;
const SPOT_RADIUS_PX = 16;
/** Of one vertex; the soles have some thousands. */
const DARKNESS = 0.0035;

/** A contact shadow drawn once from the vertices near the ground: no light, no second pass. */
export function makeContactShadow(model: Object3D): Mesh {
  const canvas = document.createElement("canvas");
  canvas.width = TEXTURE_PX;
  canvas.height = TEXTURE_PX;
  const context = canvas.getContext("2d");
  if (context) drawSpots(context, model);
  const material = new MeshBasicMaterial({
    map: new CanvasTexture(canvas),
    transparent: true,
    depthWrite: false,
  });
  const ground = new Mesh(new PlaneGeometry(GROUND_SIDE_M, GROUND_SIDE_M), material);
  ground.rotation.x = -Math.PI / 2;
  return ground;
}

function drawSpots(context: CanvasRenderingContext2D, model: Object3D): void {
  const spot = softSpot();
  const position = new Vector3();
  const pxPerM = TEXTURE_PX / GROUND_SIDE_M;
  model.traverse((object) => {
    if (!(object instanceof Mesh)) return;
    const attribute = object.geometry.getAttribute("position");
    for (let i = 0; i < attribute.count; i += 1) {
      position.fromBufferAttribute(attribute, i).applyMatrix4(object.matrixWorld);
      if (position.y > REACH_M) continue;
      context.globalAlpha = DARKNESS * (1 - position.y / REACH_M) ** 2;
      const radius = SPOT_RADIUS_PX * (1 + (2 * position.y) / REACH_M);
      const [x, y] = [TEXTURE_PX / 2 + position.x * pxPerM, TEXTURE_PX / 2 + position.z * pxPerM];
      context.drawImage(spot, x - radius, y - radius, 2 * radius, 2 * radius);
    }
  });
}

function softSpot(): HTMLCanvasElement {
  const side = 2 * SPOT_RADIUS_PX;
  const canvas = document.createElement("canvas");
  canvas.width = side;
  canvas.height = side;
  const context = canvas.getContext("2d");
  if (!context) return canvas;
  const gradient = context.createRadialGradient(side / 2, side / 2, 0, side / 2, side / 2, side / 2);
  gradient.addColorStop(0, "rgb(40 34 30 / 1)");
  gradient.addColorStop(1, "rgb(40 34 30 / 0)");
  context.fillStyle = gradient;
  context.fillRect(0, 0, side, side);
  return canvas;
}
