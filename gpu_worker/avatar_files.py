"""`tryon-worker avatar`: one body as files in a folder, with the time each stage took."""

import contextlib
import io
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from gpu_worker.contract import AvatarParams, AvatarResult, Quantity
from gpu_worker.estimators.questionnaire import FactRefused
from gpu_worker.glb import encode_avatar
from gpu_worker.photo import PhotoRefused
from gpu_worker.pipeline import AvatarFiles, Pipeline

Say = Callable[[str], None]
STDERR_FD = 2

REFUSAL_TEXTS = {
    "photo_unreadable": "the photo is not a JPEG, PNG or WebP picture that can be read",
    "photo_no_person": "nobody was found in the photo",
    "photo_several_people": "there are several people in the photo; one is needed",
    "photo_cropped": "head and feet must both be in the photo",
    "photo_too_small": "the person is too small in the photo; come closer or use a larger picture",
    "photo_too_large": "the photo is larger than 10 MB or 50 megapixels",
    "photo_pose": "stand upright facing the camera, arms a little away from the body",
}


class AvatarRefused(Exception):
    """The photo or a stated fact cannot be used; the text says why."""


def make_avatar(
    params: AvatarParams, photo: bytes | None, photo_side: bytes | None, folder: Path, *, repeat: int, with_plain: bool
) -> dict[str, Any]:
    """Write `avatar.glb`, `body.npz` and `measurements.json`; returns a summary. Raises `AvatarRefused`, OSError.

    `timings_ms` in measurements.json has one entry per run, each with its stages and their `total`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _own_words_only() as say:
        say("loading")
        pipeline = Pipeline.load()
        files, timings_ms = _runs(pipeline, params, photo, photo_side, repeat, say)
    (folder / "avatar.glb").write_bytes(files.glb)
    (folder / "body.npz").write_bytes(files.body_npz)
    if with_plain:
        (folder / "avatar.plain.glb").write_bytes(_plain_glb(pipeline, files))
    content = {**msgspec.to_builtins(_rounded(files.result)), "timings_ms": timings_ms}
    (folder / "measurements.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    later_ms = [run["total"] for run in timings_ms[1:]] or [timings_ms[0]["total"]]
    return {
        "measurements": content["measurements"],
        "evidence": content["evidence"],
        "flags": content["flags"],
        "median_ms": round(statistics.median(later_ms), 1),
        "glb_bytes": len(files.glb),
        "out": str(folder),
    }


def _runs(
    pipeline: Pipeline, params: AvatarParams, photo: bytes | None, photo_side: bytes | None, repeat: int, say: Say
) -> tuple[AvatarFiles, list[dict[str, float]]]:
    """The same avatar `repeat` times: the last one's files, and the milliseconds of all."""
    timings_ms: list[dict[str, float]] = []
    for number in range(1, repeat + 1):
        say(f"run {number} of {repeat}")
        start_s = time.perf_counter()
        files = _run(pipeline, params, photo, photo_side, say)
        total_ms = (time.perf_counter() - start_s) * 1000
        timings_ms.append({name: round(value, 1) for name, value in (files.timings_ms | {"total": total_ms}).items()})
    return files, timings_ms


def _run(
    pipeline: Pipeline, params: AvatarParams, photo: bytes | None, photo_side: bytes | None, say: Say
) -> AvatarFiles:
    try:
        return pipeline.run_avatar(params, photo, photo_side, lambda stage: say(f"  {stage}"))
    except PhotoRefused as refusal:
        raise AvatarRefused(f"{refusal.code}: {REFUSAL_TEXTS[refusal.code]}") from refusal
    except FactRefused as refusal:
        raise AvatarRefused(refusal.detail) from refusal


@contextlib.contextmanager
def _own_words_only() -> Iterator[Say]:
    """Yields a way to write to stderr that is shut to libraries: MediaPipe writes remarks for its developers there."""
    sys.stderr.flush()
    kept, nowhere = os.dup(STDERR_FD), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDERR_FD)

    def say(text: str) -> None:
        os.write(kept, f"{text}\n".encode())

    try:
        yield say
    finally:
        os.dup2(kept, STDERR_FD)
        os.close(kept)
        os.close(nowhere)


def _rounded(result: AvatarResult) -> AvatarResult:
    """Millimetres and ten grams are far below any standard deviation."""
    rounded = {name: Quantity(round(value.mean, 2), round(value.sd, 2)) for name, value in result.measurements.items()}
    return msgspec.structs.replace(result, measurements=rounded)


def _plain_glb(pipeline: Pipeline, files: AvatarFiles) -> bytes:
    """The same mesh without compression, for tools that cannot read the compressed one."""
    with np.load(io.BytesIO(files.body_npz)) as archive:
        vertices = archive["vertices"].astype(np.float64)
    return encode_avatar(pipeline.body, vertices, compress=False)
