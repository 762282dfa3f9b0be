"""Which estimators this worker can offer, said at start, and the one that photos go to.

`hmr2` is off unless the operator sets all of HMR2_WEIGHTS, HMR2_SMPL and HMR2_LICENCE_ACCEPTED_BY. Whatever is missing
is a reason, never a crash: photos then go to the silhouette alone, and without MediaPipe to nobody. Nothing here
imports torch before `hmr2` is on.
"""

import importlib.util
import logging
import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from gpu_worker.estimators.port import NotMeasurable, PhotoEstimator
from gpu_worker.estimators.questionnaire import Estimate, Facts
from gpu_worker.fusion import fuse
from gpu_worker.photo import DecodedPhoto
from gpu_worker.start_timeline import StartTimeline
from gpu_worker.weights import WeightsLock, WeightsMissing, read_ahead

if TYPE_CHECKING:
    from gpu_worker.estimators.hmr2 import Sizes
    from gpu_worker.estimators.hmr2_estimator import Hmr2Estimator
    from gpu_worker.estimators.silhouette import SilhouetteEstimator

log = logging.getLogger(__name__)

Device = Literal["auto", "cuda", "cpu"]
DEVICES: Final[tuple[Device, ...]] = ("auto", "cuda", "cpu")
HMR2_PACKAGES: Final = ("torch", "smplx", "safetensors")
GPU_FILES: Final = "nvidia[0-9]*"
LOAD_TIMEOUT_S: Final = 120.0
"""A job waits this long for weights that are still being read; then it is done without them."""


@dataclass(frozen=True)
class Hmr2Settings:
    """What the operator says about HMR2.

    weights, smpl        : the converted file, and the SMPL model (.npz or .pkl)
    licence_accepted_by  : who answers for the licences of both; written to the log at start
    device               : `auto` wants a GPU; `cpu` takes seconds a photo
    """

    weights: Path | None = None
    smpl: Path | None = None
    licence_accepted_by: str = ""
    device: Device = "auto"

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Hmr2Settings":
        """Read the environment; `ValueError` names what is wrong."""
        weights, smpl = environ.get("HMR2_WEIGHTS"), environ.get("HMR2_SMPL")
        wanted = environ.get("HMR2_DEVICE", "auto")
        device = next((name for name in DEVICES if name == wanted), None)
        if device is None:
            raise ValueError(f"HMR2_DEVICE must be one of {', '.join(DEVICES)}, not {wanted}.")
        return cls(
            Path(weights) if weights else None,
            Path(smpl) if smpl else None,
            environ.get("HMR2_LICENCE_ACCEPTED_BY", "").strip(),
            device,
        )


@dataclass(frozen=True)
class Availability:
    """Whether an estimator is offered; `reason` is one sentence."""

    name: str
    is_available: bool
    reason: str


def available_estimators(settings: Hmr2Settings) -> tuple[Availability, ...]:
    """Look, without loading anything: files, sizes, packages, a GPU."""
    has_mediapipe = importlib.util.find_spec("mediapipe") is not None
    silhouette_reason = "ready" if has_mediapipe else "MediaPipe has no build for this platform."
    obstacle = _obstacle(settings) if has_mediapipe else "it needs MediaPipe to find the person."
    return (
        Availability("questionnaire", is_available=True, reason="ready"),
        Availability("silhouette", has_mediapipe, silhouette_reason),
        Availability("hmr2", obstacle is None, obstacle or "ready"),
    )


def _obstacle(settings: Hmr2Settings) -> str | None:
    """What keeps `hmr2` from being offered."""
    if settings.weights is None or settings.smpl is None:
        return "off: HMR2_WEIGHTS and HMR2_SMPL are not both set."
    if not settings.licence_accepted_by:
        return "off: HMR2_LICENCE_ACCEPTED_BY is not set; docs/licences.md says what it stands for."
    if missing := [name for name in HMR2_PACKAGES if importlib.util.find_spec(name) is None]:
        return f"not installed: {', '.join(missing)} (requirements/hmr2.txt)."
    try:
        WeightsLock.beside(settings.weights)
    except WeightsMissing as reason:
        return str(reason)
    return _no_body_or_gpu(settings.smpl, settings.device)


def _no_body_or_gpu(smpl: Path, device: Device) -> str | None:
    if not smpl.is_file():
        return f"there is no SMPL model at {smpl}."
    if device != "cpu" and not any(Path("/dev").glob(GPU_FILES)):
        return "there is no GPU here; HMR2_DEVICE=cpu would use the processor, seconds a photo."
    return None


def photo_estimator(settings: Hmr2Settings, timeline: StartTimeline) -> PhotoEstimator | None:
    """Say what is offered, start loading, and return at once; None where photos cannot be read at all."""
    offered = {found.name: found for found in available_estimators(settings)}
    for found in offered.values():
        log.info("estimator %s: %s", found.name, found.reason)
    if not offered["silhouette"].is_available:
        return None
    loading = None
    if offered["hmr2"].is_available and settings.weights is not None and settings.smpl is not None:
        log.info("hmr2: licences accepted by %s", settings.licence_accepted_by)
        loading = _start_loading(settings.weights, settings.smpl, settings.device, timeline)
    with timeline.span("silhouette"):
        from gpu_worker.estimators.silhouette import SilhouetteEstimator  # noqa: PLC0415  MediaPipe, slow to import

        silhouette = SilhouetteEstimator.load()
    return silhouette if loading is None else SilhouetteAndHmr2(silhouette, loading)


def _start_loading(weights: Path, smpl: Path, device: Device, timeline: StartTimeline) -> "Future[Hmr2Estimator]":
    """Load in a thread of its own, beside MediaPipe, the download of the first photo and the search for its person."""
    loading: Future[Hmr2Estimator] = Future()

    def load() -> None:
        try:
            loading.set_result(load_hmr2(weights, smpl, device, timeline))
            log.info("hmr2 is ready; start-up: %s", timeline)
        except Exception as error:  # whatever it is, the worker goes on without
            log.exception("hmr2 could not be loaded: photos go to the silhouette alone")
            loading.set_exception(error)

    threading.Thread(target=load, name="load-hmr2").start()  # no daemon: leaving in the midst of CUDA's start aborts
    return loading


def load_hmr2(
    weights: Path, smpl: Path, device: Device, timeline: StartTimeline, sizes: "Sizes | None" = None
) -> "Hmr2Estimator":
    """Read the weights ahead while torch is imported; then build, map, move and warm up."""
    read_ahead(weights)
    with timeline.span("import torch"):
        import torch  # noqa: PLC0415  1 s and 200 MB, only where hmr2 is on

        from gpu_worker.body.smpl import SmplModel  # noqa: PLC0415
        from gpu_worker.estimators import hmr2  # noqa: PLC0415
        from gpu_worker.estimators.hmr2_estimator import Hmr2Estimator  # noqa: PLC0415
    place = "cpu" if device == "cpu" else "cuda"
    if place == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("The GPU is there, but torch cannot use it: driver and build do not fit.")
    if place == "cpu":
        torch.set_num_threads(os.cpu_count() or 1)  # the process asks for one thread, which suits small matrices
    with timeline.span("weights"):
        network = hmr2.LoadedNetwork(hmr2.load(weights, place, sizes=sizes or hmr2.FULL), place)
    with timeline.span("smpl"):
        estimator = Hmr2Estimator(network, SmplModel.load(smpl))
    with timeline.span("warm up"):
        network.warm_up()
    return estimator


class SilhouetteAndHmr2:
    """Both photo estimators on one look at the photo. They share the photo and what was stated, so their precisions
    are never added: covariance intersection.
    """

    def __init__(self, silhouette: "SilhouetteEstimator", loading: "Future[Hmr2Estimator]") -> None:
        self._silhouette = silhouette
        self._loading = loading

    def estimate(self, photo: DecodedPhoto, facts: Facts, side: DecodedPhoto | None = None, /) -> Estimate:
        """The silhouette stands alone where HMR2 has nothing to say, and a flag says so."""
        detection, silhouette = self._silhouette.find(photo)
        outline = self._silhouette.measure(detection, silhouette, facts, side)
        hmr2 = self._loaded()
        if hmr2 is None:
            return replace(outline, flags=(*outline.flags, "hmr2_unavailable"))
        try:
            shape = hmr2.measure(photo, detection, silhouette, facts)
        except NotMeasurable:
            return replace(outline, flags=(*outline.flags, "hmr2_not_applicable"))
        return fuse(outline, shape)

    def _loaded(self) -> "Hmr2Estimator | None":
        """Wait for the weights; None when they could not be loaded, which the log has told."""
        wait([self._loading], LOAD_TIMEOUT_S)
        if not self._loading.done() or self._loading.exception() is not None:
            return None
        return self._loading.result()
