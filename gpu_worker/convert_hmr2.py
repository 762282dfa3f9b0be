"""Operator's tool, run once offline: the released HMR2 checkpoint → float16 safetensors and its `weights.lock`.

Run it where nothing can be lost: no network, no secrets, read-only input. A checkpoint is a pickle; this one is read
without running it, unless `trust_pickle` says otherwise. The worker never imports this file. What is SMPL's in the
checkpoint (`smpl.*`) is dropped.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file
from torch import Tensor

from gpu_worker.estimators.hmr2 import FULL, Sizes, differences, expected_shapes
from gpu_worker.weights import WeightsLock, sha256_of

CONVERTER: Final = "tryon-convert-hmr2 1"
KEPT: Final = ("backbone.", "smpl_head.")
DROPPED: Final = ("smpl.", "discriminator.", "initialized")
LARGEST_HALF: Final = 65504.0
SMALLEST_NORMAL_HALF: Final = 2.0**-14
READABLE: Final = 0o644
"""The worker runs as another user than the operator who converts."""
LICENCE: Final = (
    "The HMR2 checkpoint has no licence of its own and was trained on SMPL-fitted data: research use only, unless the "
    "operator holds a licence that says otherwise. See docs/licences.md."
)


class ConversionRefused(Exception):
    """The checkpoint cannot be converted; the text is what the operator is shown."""


@dataclass(frozen=True)
class Conversion:
    """What was written. `largest` is the largest absolute value; `subnormal_share` loses precision in float16."""

    lock: WeightsLock
    tensors: int
    numbers: int
    largest: float
    subnormal_share: float

    def as_json(self) -> str:
        """One line for standard output."""
        return json.dumps(
            {
                "file": self.lock.file,
                "bytes": self.lock.bytes,
                "sha256": self.lock.sha256,
                "source_sha256": self.lock.source_sha256,
                "tensors": self.tensors,
                "numbers": self.numbers,
                "largest": self.largest,
                "subnormal_share": self.subnormal_share,
            }
        )


def convert(checkpoint: Path, out: Path, *, trust_pickle: bool = False, sizes: Sizes = FULL) -> Conversion:
    """Write `out` and `weights.lock` beside it; raises `ConversionRefused` and then leaves nothing."""
    if out.suffix != ".safetensors":
        raise ConversionRefused(f"{out.name} must end in .safetensors.")
    state = _kept(_read(checkpoint, trust_pickle=trust_pickle), checkpoint.name)
    if wrong := differences({key: tuple(value.shape) for key, value in state.items()}, expected_shapes(sizes)):
        listed = "\n  ".join(wrong[:20])
        raise ConversionRefused(f"{checkpoint.name} is not HMR2's: {len(wrong)} differences\n  {listed}")
    largest, subnormal_share = _check_range(state)
    source_sha256 = sha256_of(checkpoint)
    metadata = {"source_sha256": source_sha256, "converter": CONVERTER, "precision": "float16", "sizes": str(sizes)}
    half = {key: value.to(torch.float16).contiguous() for key, value in state.items()}
    partial = out.with_suffix(".partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        save_file(half, partial, metadata)
        partial.chmod(READABLE)
        partial.replace(out)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ConversionRefused(f"Cannot write {out}: {error.strerror}.") from error
    lock = WeightsLock(
        file=out.name,
        bytes=out.stat().st_size,
        sha256=sha256_of(out),
        source_file=checkpoint.name,
        source_sha256=source_sha256,
        precision="float16",
        converter=CONVERTER,
        licence=LICENCE,
    )
    lock.write(out.parent)
    numbers = sum(value.numel() for value in state.values())
    return Conversion(lock, len(state), numbers, largest, subnormal_share)


def _read(checkpoint: Path, *, trust_pickle: bool) -> Mapping[str, Any]:
    """The checkpoint's `state_dict`."""
    if not checkpoint.is_file():
        raise ConversionRefused(f"There is no file {checkpoint}.")
    configuration = (OrderedDict, "yacs.config.CfgNode")  # pickled along; a plain mapping does, nothing reads it
    try:
        with torch.serialization.safe_globals([configuration]):
            record = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch raises many kinds here
        if not trust_pickle:
            raise ConversionRefused(
                f"{checkpoint.name} holds more than tensors, or is damaged, and was not read. If it comes from its "
                "authors and its sha256 is the published one, run again with --trust-pickle in an isolated container."
            ) from error
        record = _read_trusted(checkpoint)
    state = record.get("state_dict") if isinstance(record, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ConversionRefused(f"{checkpoint.name} has no state_dict of tensors: it is not HMR2's checkpoint.")
    return state


def _read_trusted(checkpoint: Path) -> Any:
    try:
        return torch.load(checkpoint, map_location="cpu", weights_only=False)  # asked for by the operator
    except Exception as error:
        raise ConversionRefused(f"{checkpoint.name} cannot be unpickled here: {error}") from error


def _kept(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    unknown = [key for key in state if not key.startswith((*KEPT, *DROPPED))]
    if unknown:
        raise ConversionRefused(f"{name} holds keys that HMR2 does not have: {', '.join(sorted(unknown)[:5])}.")
    return {key: value for key, value in state.items() if key.startswith(KEPT)}


def _check_range(state: Mapping[str, Tensor]) -> tuple[float, float]:
    """Largest absolute value, and the share of numbers that float16 holds with less precision."""
    largest, subnormal = 0.0, 0
    for key, value in state.items():
        size = value.float().abs()
        if not bool(size.isfinite().all()):
            raise ConversionRefused(f"{key} holds NaN or infinity: the checkpoint is damaged.")
        peak = float(size.max())
        if peak >= LARGEST_HALF:
            raise ConversionRefused(f"{key} reaches {peak:.0f}, more than float16 can hold.")
        largest = max(largest, peak)
        subnormal += int(((size > 0) & (size < SMALLEST_NORMAL_HALF)).sum())
    return largest, subnormal / sum(value.numel() for value in state.values())
