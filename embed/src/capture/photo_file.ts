/** Photos leave the device small, re-encoded and therefore without place, time or camera. */
export const MAX_SIDE_PX = 1600;
export const MAX_BYTES = 400_000;
const JPEG = "image/jpeg";
/** Tried in turn until the file is small enough. */
const QUALITIES = [0.88, 0.8, 0.7, 0.6, 0.5] as const;
/** When the worst quality is still too large, the picture shrinks by this much and all are tried again. */
const SHRINK = 0.8;
const MIN_SIDE_PX = 400;

export interface Size {
  width: number;
  height: number;
}

export interface PreparedPhoto {
  file: Blob;
  size: Size;
  hint: PhotoHint | null;
}

/** Not refused on the device: said, and left to the shopper. */
export type PhotoHint = "dark" | "blurred" | "small";

export class PhotoUnreadable extends Error {}

/** The largest size within the limit, same shape. */
export function sizeWithin({ width, height }: Size, maxSidePx: number): Size {
  const scale = Math.min(1, maxSidePx / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/** Encodes until the file is within the limit: first in worse quality, then smaller. */
export async function encodeWithin(
  size: Size,
  encode: (size: Size, quality: number) => Promise<Blob>,
): Promise<{ file: Blob; size: Size }> {
  for (
    let current = size;
    ;
    current = sizeWithin(current, Math.max(current.width, current.height) * SHRINK)
  ) {
    for (const quality of QUALITIES) {
      const file = await encode(current, quality);
      const isLast = quality === QUALITIES.at(-1) && Math.max(current.width, current.height) <= MIN_SIDE_PX;
      if (file.size <= MAX_BYTES || isLast) return { file, size: current };
    }
  }
}

/** Decodes upright, shrinks and re-encodes. Throws `PhotoUnreadable`. */
export async function preparePhoto(original: Blob): Promise<PreparedPhoto> {
  const picture = await createImageBitmap(original, { imageOrientation: "from-image" }).catch(() => {
    throw new PhotoUnreadable();
  });
  try {
    const target = sizeWithin(picture, MAX_SIDE_PX);
    const { file, size } = await encodeWithin(target, (at, quality) => encodeJpeg(picture, at, quality));
    return { file, size, hint: lookAt(picture) };
  } finally {
    picture.close();
  }
}

function encodeJpeg(picture: ImageBitmap, { width, height }: Size, quality: number): Promise<Blob> {
  const context = draw(picture, { width, height });
  return new Promise((resolve, reject) => {
    context.canvas.toBlob((file) => (file ? resolve(file) : reject(new PhotoUnreadable())), JPEG, quality);
  });
}

function draw(picture: ImageBitmap, { width, height }: Size): CanvasRenderingContext2D {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (!context) throw new PhotoUnreadable();
  // What is see-through in a PNG becomes white, not black.
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, width, height);
  return context;
}

const LOOK_SIDE_PX = 256;
/** Mean of 0–255 under which a room is dark. Guess. */
const DARK_BELOW = 45;
/** Variance of the second difference; sharp photos of people have hundreds. Guess. */
const BLURRED_BELOW = 12;
/** A person must be 450 px tall, so the photo must be taller. */
const SMALL_BELOW_PX = 500;

function lookAt(picture: ImageBitmap): PhotoHint | null {
  if (Math.max(picture.width, picture.height) < SMALL_BELOW_PX) return "small";
  const size = sizeWithin(picture, LOOK_SIDE_PX);
  const { data } = draw(picture, size).getImageData(0, 0, size.width, size.height);
  const grey = Float32Array.from(
    { length: size.width * size.height },
    (_, i) => (data[4 * i + 1] ?? 0) as number,
  );
  if (meanOf(grey) < DARK_BELOW) return "dark";
  return sharpness(grey, size) < BLURRED_BELOW ? "blurred" : null;
}

/** Variance of the Laplacian: how much edge there is. */
export function sharpness(grey: Float32Array, { width, height }: Size): number {
  const at = (x: number, y: number): number => grey[y * width + x] ?? 0;
  const edges: number[] = [];
  for (let y = 1; y < height - 1; y += 1) {
    for (let x = 1; x < width - 1; x += 1) {
      edges.push(4 * at(x, y) - at(x - 1, y) - at(x + 1, y) - at(x, y - 1) - at(x, y + 1));
    }
  }
  const mean = meanOf(edges);
  return meanOf(edges.map((edge) => (edge - mean) ** 2));
}

function meanOf(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i += 1) sum += values[i] ?? 0;
  return values.length > 0 ? sum / values.length : 0;
}
