"""Array types of the geometry code, and the check at its doors."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Edges = NDArray[np.intp]
"""Pairs of vertices, (E, 2), in the integers numpy indexes with."""
Bools = NDArray[np.bool_]


def check_shape(array: NDArray[np.float64], shape: tuple[int, ...], name: str) -> None:
    """Refuse an array of another shape, or one with NaN or infinity, at a module's door."""
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, not {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity.")
