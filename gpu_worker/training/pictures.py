"""Training pictures: synthetic people → pictures → MediaPipe → landmarks and masks on disk, in resumable shards.

Every body has its own random stream (seed, number), so a shard holds the same people whoever draws it, and when.
"""

import argparse
import multiprocessing
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_worker.body.arrays import Floats
from gpu_worker.body.tape import Tape
from gpu_worker.contract import MEASUREMENTS
from gpu_worker.pose import Detection, PoseDetector
from gpu_worker.training.people import Mode
from gpu_worker.training.population import Person, Population
from gpu_worker.training.scenes import Studio

TRAINING_SEED = 1_101
BODIES_PER_SHARD = 25
PICTURES_PER_BODY = 2
FLAT_SHARE = 0.35
"""Of training bodies drawn flat in BMI; the rest follows the survey."""


@dataclass(frozen=True, eq=False)
class Shard:
    """n pictures as MediaPipe saw them; rows belong together.

    body         : (n,) number of the body
    truth        : (n, 13) measurements in the order of MEASUREMENTS, cm and kg
    person       : (n, 3) sex (1 female), age, and 1 where drawn flat in BMI
    landmarks    : (n, 33, 3); world : (n, 33, 3)
    size         : (n, 2) height and width of the picture, pixels
    mask_bytes   : all masks as PNG, one after the other; mask_end : (n,) where each ends
    lost         : pictures in which MediaPipe found nobody
    """

    body: NDArray[np.int64]
    truth: Floats
    person: Floats
    landmarks: NDArray[np.float32]
    world: NDArray[np.float32]
    size: NDArray[np.int64]
    mask_bytes: NDArray[np.uint8]
    mask_end: NDArray[np.int64]
    lost: int

    @classmethod
    def load(cls, path: Path) -> "Shard":
        with np.load(path, allow_pickle=False) as archive:
            values: dict[str, Any] = {name: archive[name] for name in archive.files}
        return cls(**values | {"lost": int(values["lost"])})

    def detection(self, row: int) -> Detection:
        start = self.mask_end[row - 1] if row else 0
        mask = cv2.imdecode(self.mask_bytes[start : self.mask_end[row]], cv2.IMREAD_GRAYSCALE)
        return Detection(self.landmarks[row], self.world[row], mask.astype(np.float32) / 255)


def truth_of(tape: Tape, person: Person) -> Floats:
    """(13,) what a tape says: of the body, and the scales' weight."""
    reading = tape.measure(*tape.body.rest(person.shape), gender=person.shape.gender)
    stated = {"height_cm": person.height_cm, "weight_kg": person.weight_kg}
    return np.array([(reading | stated)[name] for name in MEASUREMENTS])


class Maker:
    """Draws shards; one for each process."""

    def __init__(self, seed: int) -> None:
        cv2.setNumThreads(1)
        self.seed = seed
        self.population = Population.load()
        self.studio = Studio(self.population.solver.body)
        self.detector = PoseDetector()

    def shard(self, number: int, path: Path) -> None:
        """Draw one shard and write it, whole or not at all."""
        rows: list[dict[str, Any]] = []
        lost = 0
        for body in range(number * BODIES_PER_SHARD, (number + 1) * BODIES_PER_SHARD):
            rng = np.random.default_rng((self.seed, body))
            mode: Mode = "flat" if rng.random() < FLAT_SHARE else "ansur"
            (person,) = self.population.sample(rng, 1, mode)
            truth = truth_of(self.population.solver.tape, person)
            for _ in range(PICTURES_PER_BODY):
                picture = self.studio.everyday(person.shape, rng)
                detection = self.detector.detect(picture)
                if detection is None:
                    lost += 1
                    continue
                who = [float(person.sex == "female"), person.age, float(mode == "flat")]
                rows.append({"body": body, "truth": truth, "person": who} | _compact(detection))
        _write(rows, lost, path)


def _compact(detection: Detection) -> dict[str, Any]:
    mask = np.round(detection.mask_probability * 255).astype(np.uint8)
    is_encoded, png = cv2.imencode(".png", mask)
    if not is_encoded:
        raise RuntimeError("cv2 could not encode a mask.")
    return {"landmarks": detection.landmarks, "world": detection.world, "size": mask.shape, "mask": png.reshape(-1)}


def _write(rows: list[dict[str, Any]], lost: int, path: Path) -> None:
    arrays: dict[str, Any] = {
        name: np.array([row[name] for row in rows])
        for name in ("body", "truth", "person", "landmarks", "world", "size")
    }
    arrays["mask_bytes"] = np.concatenate([row["mask"] for row in rows])
    arrays["mask_end"] = np.cumsum([len(row["mask"]) for row in rows])
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    with unfinished.open("wb") as file:
        np.savez(file, lost=np.array(lost), **arrays)
    unfinished.replace(path)


def shard_path(folder: Path, number: int) -> Path:
    return folder / f"shard_{number:05d}.npz"


def _work(folder: Path, numbers: list[int], seed: int, done: Any) -> None:
    maker = Maker(seed)
    parent = multiprocessing.parent_process()
    for number in numbers:
        if parent is not None and not parent.is_alive():
            return
        maker.shard(number, shard_path(folder, number))
        done.put(number)


def generate(folder: Path, bodies: int, *, seed: int = TRAINING_SEED, processes: int = 1) -> list[Path]:
    """Draw what is missing of the shards for `bodies` bodies; says how far it is on stderr."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = range(-(-bodies // BODIES_PER_SHARD))
    missing = [number for number in wanted if not shard_path(folder, number).exists()]
    context = multiprocessing.get_context("spawn")
    done = context.Queue()
    workers = [
        context.Process(target=_work, args=(folder, missing[start::processes], seed, done), daemon=True)
        for start in range(min(processes, len(missing)))
    ]
    for worker in workers:
        worker.start()
    started = time.monotonic()
    for count in range(1, len(missing) + 1):
        while done.empty():
            time.sleep(0.2)
            if any(worker.exitcode not in {None, 0} for worker in workers):
                raise RuntimeError("A process that draws pictures died; start again, finished shards are kept.")
        done.get()
        left_s = (time.monotonic() - started) / count * (len(missing) - count)
        print(f"pictures: {count}/{len(missing)} shards, {left_s / 60:.1f} min left", file=sys.stderr, flush=True)
    return [shard_path(folder, number) for number in wanted]


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw training pictures; resumable.")
    parser.add_argument("--folder", type=Path, default=Path(".data/training"))
    parser.add_argument("--bodies", type=int, default=3000)
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    generate(arguments.folder, arguments.bodies, processes=arguments.processes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
