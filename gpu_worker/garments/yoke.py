"""The body above the armpits, from where front and back of a top hang."""

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from gpu_worker.body.arrays import Floats
from gpu_worker.garments.support import ANGLES, radius
from gpu_worker.garments.tables import BodyTables


class Yoke:
    """The body above the armpits as cloth sees it: distance from `origin` by plane x and angle in (y, z)."""

    def __init__(self, tables: BodyTables) -> None:
        self.origin = tables.yoke_origin
        self._planes, support = tables.sagittal
        bare = radius(support, np.zeros((len(support), 2)), ANGLES.astype(np.float64))
        soft = gaussian_filter(bare, (1.5, 1.0), mode=("nearest", "wrap"))
        self._reach = np.maximum(soft, gaussian_filter(bare, (0.6, 0.4), mode=("nearest", "wrap")))

    def reach(self, x: Floats, angle: Floats) -> Floats:
        """Distance of the surface, for arrays of equal shape."""
        row = np.interp(x, self._planes, np.arange(len(self._planes)))
        column = (angle % (2 * np.pi)) / (2 * np.pi) * len(ANGLES)
        found: Floats = map_coordinates(self._reach, [row, column], order=1, mode="grid-wrap")
        return found

    def polar(self, points: Floats) -> tuple[Floats, Floats, Floats]:
        """x, angle and distance of points (..., 3)."""
        y, z = points[..., 1] - self.origin[0], points[..., 2] - self.origin[1]
        return points[..., 0], np.arctan2(z, y), np.hypot(y, z)

    def points(self, x: Floats, angle: Floats, distance: Floats) -> Floats:
        y, z = self.origin[0] + distance * np.cos(angle), self.origin[1] + distance * np.sin(angle)
        return np.stack([x, y, z], axis=-1)

    def ridge(self, x: Floats) -> tuple[Floats, Floats]:
        """Angle and height of the shoulder line over x (n,)."""
        angle = np.linspace(np.pi / 4, 3 * np.pi / 4, 41)
        grid_x, grid_angle = np.broadcast_to(x[:, None], (len(x), 41)), np.broadcast_to(angle, (len(x), 41))
        distance = self.reach(grid_x, grid_angle)
        height = self.origin[1] + distance * np.sin(angle)
        weight = np.exp((height - height.max(axis=1, keepdims=True)) / 0.002)
        best = (weight * angle).sum(axis=1) / weight.sum(axis=1)
        return best, np.asarray(height.max(axis=1))

    def angle_at_height(self, x: Floats, height: Floats, *, front: bool) -> Floats:
        """Angle (n,) at which the surface passes `height` (n,) over x (n,)."""
        ridge, _ = self.ridge(x)
        share = np.linspace(0, 1, 41)
        low = np.pi if front else 0.0
        angle = low + (ridge - low)[:, None] * share - (0.6 if not front else -0.6) * (1 - share)
        grid_x = np.broadcast_to(x[:, None], angle.shape)
        level = self.origin[1] + self.reach(grid_x, angle) * np.sin(angle)
        level = np.maximum.accumulate(level, axis=1) + np.linspace(0, 1e-6, 41)
        above = np.clip((level < height[:, None]).sum(axis=1), 1, len(share) - 1)
        rows = np.arange(len(x))
        low_level, high_level = level[rows, above - 1], level[rows, above]
        part = np.clip((height - low_level) / (high_level - low_level), 0, 1)
        found: Floats = angle[rows, above - 1] * (1 - part) + angle[rows, above] * part
        return found
