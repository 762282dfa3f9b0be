"""What HMR2 is shown of a photo, and where its camera stands in it; exactly as the network was trained.

Convention: pixels, x right, y down, RGB; boxes x1, y1, x2, y2, tight and without margin; cameras (scale, x, y) of the
crop; a body's origin before the camera in metres, x right, y down, z away. There is no absolute scale in any of it: the
focal length is assumed.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.arrays import Floats
from gpu_worker.photo import Pixels

Floats32 = NDArray[np.float32]

CROP_PX: Final = 256
PIXEL_MEAN: Final = 255 * np.array([0.485, 0.456, 0.406])
PIXEL_SD: Final = 255 * np.array([0.229, 0.224, 0.225])
FOCAL_PX: Final = 5000.0
"""Assumed by the training for the 256 px crop."""
TINY_SCALE: Final = 1e-9
"""Added by the original where it divides by the camera's scale."""


@dataclass(frozen=True, eq=False)
class Crop:
    """What the network is shown.

    picture : (3, 256, 256) float32, normalised RGB
    centre  : (2,) pixel of the photo in the middle of the crop
    size_px : side of the square in the photo
    """

    picture: Floats32
    centre: Floats
    size_px: float


MIN_BLURRED_SHRINK: Final = 1.1
"""Half the shrink factor from which the original blurs before it samples."""
BLUR_TRUNCATE: Final = 4.0
"""Standard deviations at which the kernel ends."""


def crop(rgb: Pixels, box: Floats) -> Crop:
    """Square crop about a tight box (x1, y1, x2, y2), without margin: the network was trained on such."""
    centre = (box[:2] + box[2:]) / 2
    width, height = box[2:] - box[:2]
    size_px = float(max(height, width * 4 / 3))
    scale = CROP_PX / size_px
    to_crop = np.array([[scale, 0, CROP_PX / 2 - scale * centre[0]], [0, scale, CROP_PX / 2 - scale * centre[1]]])
    shrink = size_px / CROP_PX / 2
    source: NDArray[np.uint8] | Floats32 = rgb
    if shrink > MIN_BLURRED_SHRINK:
        source, corner = _blurred(rgb, centre, size_px, (shrink - 1) / 2)
        to_crop[:, 2] += scale * corner
    flat = cv2.warpAffine(source, to_crop, (CROP_PX, CROP_PX), flags=cv2.INTER_LINEAR)
    picture = (flat.astype(np.float32) - PIXEL_MEAN) / PIXEL_SD
    return Crop(np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32), centre, size_px)


def _blurred(rgb: Pixels, centre: Floats, size_px: float, sd_px: float) -> tuple[Floats32, Floats]:
    """Only what the crop can see, blurred, and its upper left corner."""
    reach = int(np.ceil(BLUR_TRUNCATE * sd_px)) + 2
    low = np.maximum(np.floor(centre - size_px / 2).astype(int) - reach, 0)
    high = np.minimum(np.ceil(centre + size_px / 2).astype(int) + reach, [rgb.shape[1], rgb.shape[0]])
    radius = int(BLUR_TRUNCATE * sd_px + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sd_px) ** 2)
    kernel /= kernel.sum()
    part = rgb[low[1] : high[1], low[0] : high[0]]
    blurred = cv2.sepFilter2D(part, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, np.float32), low.astype(np.float64)


def translation_in_crop(camera: Floats) -> Floats:
    """(3,) of the body's origin before the crop's camera of `FOCAL_PX`."""
    scale, x, y = camera
    return np.array([x, y, 2 * FOCAL_PX / (CROP_PX * scale + TINY_SCALE)])


def translation_in_photo(camera: Floats, where: Crop, width_px: int, height_px: int) -> tuple[Floats, float]:
    """(3,) of the body's origin before the photo's camera, and that camera's focal length in pixels."""
    focal_px = FOCAL_PX / CROP_PX * max(width_px, height_px)
    scaled = where.size_px * camera[0] + TINY_SCALE
    x = 2 * (where.centre[0] - width_px / 2) / scaled + camera[1]
    y = 2 * (where.centre[1] - height_px / 2) / scaled + camera[2]
    return np.array([x, y, 2 * focal_px / scaled]), focal_px
