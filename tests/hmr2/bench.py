"""Time the estimator `hmr2` by stage on this machine: `HMR2_REFERENCE_DIR=... python -m tests.hmr2.bench`.

HMR2_WEIGHTS and HMR2_SMPL name the operator's files; without them a stand-in of full size is made (1.3 GB in a
temporary folder): its answers mean nothing, its times are right. HMR2_DEVICE as for the worker, `cpu` by default here.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from gpu_worker import photo as photos
from gpu_worker.available import Hmr2Settings, SilhouetteAndHmr2, photo_estimator
from gpu_worker.body.canonical import CanonicalBody
from gpu_worker.body.smpl import SmplModel
from gpu_worker.body.smpl_tape import PeerTape
from gpu_worker.contract import AvatarParams
from gpu_worker.estimators.questionnaire import Estimate, Facts, estimate
from gpu_worker.fusion import fuse
from gpu_worker.pipeline import Pipeline
from gpu_worker.start_timeline import StartTimeline
from gpu_worker.training.scenes import encode_jpeg, render_person

ROUNDS = 5
TAPE_ROUNDS = 200
FIRST_RESULT = """
import sys, time, psutil
from pathlib import Path
from gpu_worker.available import Hmr2Settings, photo_estimator
from gpu_worker.start_timeline import StartTimeline
from gpu_worker.estimators.questionnaire import Facts
from gpu_worker import photo
timeline = StartTimeline()
estimator = photo_estimator(Hmr2Settings(Path(sys.argv[1]), Path(sys.argv[2]), "bench", sys.argv[3]), timeline)
with timeline.span("first photo"):
    found = estimator.estimate(photo.decode(Path(sys.argv[4]).read_bytes()), Facts(178.0, 74.0, 30.0, "male"))
assert "hmr2" in found.estimator, found.flags
print(time.time() - psutil.Process().create_time())
print(timeline)
"""


def main() -> None:
    device = os.environ.get("HMR2_DEVICE", "cpu")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights, smpl = (os.environ.get(key) for key in ("HMR2_WEIGHTS", "HMR2_SMPL"))
        files = (Path(weights), Path(smpl)) if weights and smpl else stand_ins(folder)
        picture = folder / "person.jpg"
        picture.write_bytes(encode_jpeg(render_person()))
        report = {"device": device_name(device), "processors": os.cpu_count()}
        report |= first_result(files, device, picture)
        report |= warm(files, device, picture.read_bytes()) | tape(files[1])
    print(json.dumps(report, indent=1))  # noqa: T201


def stand_ins(folder: Path) -> tuple[Path, Path]:
    """Made by a process of its own, so that their memory is not counted."""
    if not os.environ.get("HMR2_REFERENCE_DIR"):
        sys.exit("Set HMR2_WEIGHTS and HMR2_SMPL, or HMR2_REFERENCE_DIR for stand-ins.")
    subprocess.run([sys.executable, "-m", "tests.hmr2.stand_in", str(folder)], check=True)
    return folder / "stand-in.safetensors", folder / "SYNTHETIC.npz"


def device_name(device: str) -> str:
    return device if device == "cpu" else str(torch.cuda.get_device_name())


def first_result(files: tuple[Path, Path], device: str, picture: Path) -> dict[str, Any]:
    """From the start of a process to its first estimate, files in the page cache."""
    command = [sys.executable, "-c", FIRST_RESULT, *map(str, files), device, str(picture)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, timeline = done.stdout.splitlines()[-2:]
    return {"process_start_to_first_estimate_s": round(float(seconds), 2), "timeline": timeline}


def warm(files: tuple[Path, Path], device: Any, picture: bytes) -> dict[str, Any]:
    """Milliseconds of each stage of a job, without network: the best and the median."""
    both = photo_estimator(Hmr2Settings(*files, "bench", device), StartTimeline())
    assert isinstance(both, SilhouetteAndHmr2)
    pipeline = Pipeline(CanonicalBody.load(), both)
    facts = Facts(178.0, 74.0, 30.0, "male")
    params = AvatarParams(178.0, 74.0, 30.0, "male")
    stages: dict[str, list[float]] = {}
    for _ in range(ROUNDS + 1):
        photo = timed(stages, "decode", lambda: photos.decode(picture))
        detection, cut_out = timed(stages, "detect and gates", partial(both._silhouette.find, photo))
        outline = timed(stages, "silhouette", partial(both._silhouette.measure, detection, cut_out, facts))
        hmr2 = both._loading.result()
        shape = timed(stages, "hmr2", partial(hmr2.measure, photo, detection, cut_out, facts))
        for name, milliseconds in hmr2.timings_ms.items():
            stages.setdefault(f"hmr2: {name}", []).append(milliseconds)
        timed(stages, "fuse", partial(fuse_all, facts, outline, shape))
        files_made = timed(stages, "whole job", lambda: pipeline.run_avatar(params, picture, None, lambda _stage: None))
        for name, milliseconds in files_made.timings_ms.items():
            stages.setdefault(f"job: {name}", []).append(milliseconds)
    report: dict[str, Any] = {
        "warm_best_ms": {name: round(min(times[1:]), 1) for name, times in stages.items()},
        "warm_median_ms": {name: round(float(np.median(times[1:])), 1) for name, times in stages.items()},
        "load": os.getloadavg()[0],
        "memory_mb": round(psutil.Process().memory_info().rss / 1e6),
    }
    if device != "cpu":
        report["gpu_memory_mb"] = round(torch.cuda.max_memory_reserved() / 1e6)
    return report


def tape(smpl_file: Path) -> dict[str, Any]:
    """Milliseconds of the full set of the peer's measurements: the best and the median."""
    peer, betas = PeerTape(SmplModel.load(smpl_file)), np.linspace(-1, 1, 10)
    times: dict[str, list[float]] = {}
    for _ in range(TAPE_ROUNDS):
        timed(times, "tape", lambda: peer.measure(betas))
    return {"tape_best_ms": round(min(times["tape"]), 2), "tape_median_ms": round(float(np.median(times["tape"])), 2)}


def fuse_all(facts: Facts, outline: Estimate, shape: Estimate) -> Estimate:
    return fuse(estimate(facts), fuse(outline, shape))


def timed(stages: dict[str, list[float]], name: str, work: Callable[[], Any]) -> Any:
    start_s = time.perf_counter()
    result = work()
    stages.setdefault(name, []).append((time.perf_counter() - start_s) * 1000)
    return result


if __name__ == "__main__":
    main()
