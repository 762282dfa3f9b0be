"""The wire between backend and worker: what a job is, what comes back. msgspec structs only.

Convention: centimetres and kilograms; measurements always in the order of `MEASUREMENTS`.
"""

from enum import StrEnum
from typing import Literal

import msgspec

CONTRACT_VERSION = 1

PIPELINE_VERSION = "1"
"""Part of every cache key: a new pipeline computes anew what was found by an old one."""

MEASUREMENTS = (
    "chest_cm",
    "waist_cm",
    "waist_natural_cm",
    "hip_cm",
    "inseam_cm",
    "shoulder_cm",
    "neck_cm",
    "upper_arm_cm",
    "thigh_cm",
    "arm_length_cm",
    "torso_length_cm",
    "height_cm",
    "weight_kg",
)
"""The thirteen canonical measurements; rows and columns of every covariance are in this order."""

Sex = Literal["female", "male", "unspecified"]
Kind = Literal["avatar", "garment", "dress", "noop"]


class Stage(StrEnum):
    """What a running job is doing, in order; progress = stages finished / 5, never backwards."""

    RECEIVED = "received"
    CHECKING = "checking"
    MEASURING = "measuring"
    BUILDING = "building"
    SAVING = "saving"


PHOTO_REFUSALS = (
    "photo_unreadable",
    "photo_no_person",
    "photo_several_people",
    "photo_cropped",
    "photo_too_small",
    "photo_too_large",
    "photo_pose",
)
"""Refusals of a photo: an outcome the shopper can act on, never retried."""

PERMANENT_ERRORS = (*PHOTO_REFUSALS, "photo_gone", "input_invalid", "contract_version")
RETRYABLE_ERRORS = ("out_of_memory", "download_failed", "upload_failed", "output_exists", "internal")


class InputFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file the worker may read, by a signed GET address."""

    url: str
    sha256: str
    bytes: int
    media_type: str


class OutputFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file the worker may write, by a signed PUT address; `headers` are sent exactly."""

    url: str
    headers: dict[str, str]
    max_bytes: int


class AvatarParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the shopper stated. `tape_cm` maps a wire name (`waist_cm`) to the value typed."""

    height_cm: float
    weight_kg: float | None = None
    age: float | None = None
    sex: Sex = "unspecified"
    tape_cm: dict[str, float] = {}


class JobInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The `input` of one RunPod job.

    kind `avatar`: inputs `photo` and `photo_side` (both optional); outputs `avatar.glb`, `body.npz`,
    `manifest.json` (written last).
    """

    contract_version: int
    attempt_id: str
    kind: Kind
    inputs: dict[str, InputFile] = {}
    outputs: dict[str, OutputFile] = {}
    params: dict[str, object] = {}


class Quantity(msgspec.Struct, frozen=True):
    """A measurement as it is shown: mean and standard deviation."""

    mean: float
    sd: float


class AvatarResult(msgspec.Struct, frozen=True):
    """What one avatar job found out.

    measurements : one `Quantity` for each of `MEASUREMENTS`
    covariance   : 13 x 13, of the error against the canonical definitions
    evidence     : `height`, `weight`, `age`, `sex`, `photo`, `photo_side`, `tape` as used
    flags        : `loose_clothing`, `extrapolated`, `facts_inconsistent`, `photo_side_pose`, ...
    """

    measurements: dict[str, Quantity]
    covariance: list[list[float]]
    evidence: list[str]
    estimator: str
    flags: list[str] = []


class FileRecord(msgspec.Struct, frozen=True):
    """A file as it was uploaded; hex digests."""

    bytes: int
    sha256: str
    md5: str


class Manifest(msgspec.Struct, frozen=True):
    """Uploaded last, so that its presence says the attempt finished."""

    attempt_id: str
    contract_version: int
    pipeline_version: str
    files: dict[str, FileRecord]
    result: AvatarResult | None
    gpu_name: str
    worker_id: str
    cold: bool
    timings_ms: dict[str, float]


class WorkerError(msgspec.Struct, frozen=True):
    """The JSON inside RunPod's top-level `error` string."""

    code: str
    retryable: bool
