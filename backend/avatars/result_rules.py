"""Whether what a worker reports of a body can be true. Pure."""

import math

from gpu_worker.contract import MEASUREMENTS, AvatarResult

CM_RANGE = (10.0, 260.0)
KG_RANGE = (20.0, 400.0)
MAX_SD = 60.0
SYMMETRY_TOLERANCE = 1e-6


def is_sound(result: AvatarResult | None) -> bool:
    """All thirteen measures, each finite and of a human size, with a covariance that can be one."""
    if result is None or set(result.measurements) != set(MEASUREMENTS):
        return False
    for name, quantity in result.measurements.items():
        low, high = KG_RANGE if name.endswith("_kg") else CM_RANGE
        if not (low <= quantity.mean <= high and 0 < quantity.sd <= MAX_SD):  # NaN fails every comparison
            return False
    return _is_covariance(result.covariance)


def _is_covariance(matrix: list[list[float]]) -> bool:
    size = len(MEASUREMENTS)
    if len(matrix) != size or any(len(row) != size for row in matrix):
        return False
    if not all(math.isfinite(value) for row in matrix for value in row):
        return False
    if any(matrix[i][i] <= 0 for i in range(size)):
        return False
    return all(
        abs(matrix[i][j] - matrix[j][i]) <= SYMMETRY_TOLERANCE * math.sqrt(matrix[i][i] * matrix[j][j])
        and abs(matrix[i][j]) <= math.sqrt(matrix[i][i] * matrix[j][j]) * (1 + SYMMETRY_TOLERANCE)
        for i in range(size)
        for j in range(i)
    )
