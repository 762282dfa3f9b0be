"""npz files whose bytes depend on their arrays alone: `numpy.savez` writes the time of day into the zip."""

import io
import zipfile
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold
_ZLIB_LEVEL = 9


def encode_npz(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """A compressed npz of `arrays`, in their order; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=_ZLIB_LEVEL) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(array, order="C"), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, member.getvalue(), compresslevel=_ZLIB_LEVEL)
    return buffer.getvalue()
