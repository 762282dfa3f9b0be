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

GARMENT_REFUSALS = (
    "garment_invalid",
    "garment_unclear",
    "look_invalid",
    "look_too_large",
    "body_invalid",
    "does_not_fit",
)
"""Refusals of a garment, of a file that may mean several things, of its look, of a body as something to dress, and of
every size on this body: outcomes, never retried.
"""

PERMANENT_ERRORS = (*PHOTO_REFUSALS, *GARMENT_REFUSALS, "photo_gone", "input_invalid", "contract_version")
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


class SizeRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One size of a chart: measure → cm of the garment itself, girths whole. Rows are a list: objects lose order."""

    size: str
    garment_cm: dict[str, float]


class LookParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the cloth looks. `colour` is #rrggbb; `fabric` one of the worker's textures, "" for the category's own.

    tile_cm : width of one tile of the input `texture` on the cloth
    """

    colour: str = "#5b7086"
    fabric: str = ""
    tile_cm: float = 10.0


class GarmentParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A garment as its brand describes it, sizes from small to large.

    uploads : sizes that the brand has modelled itself, in the order of the inputs `size_0`, `size_1`, …
    """

    category: str
    sizes: list[SizeRow]
    look: LookParams = LookParams()
    uploads: list[str] = []


class DressParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A garment to put on a body.

    base   : the size whose mesh the others are told from; None lets the worker choose
    polish : sizes to drape as cloth; empty for the quick first picture
    only   : sizes to put on, for the quickest first picture; empty for all of them. Where none of these can be put on,
             and with models of the brand's own, it is all of them too
    """

    garment: GarmentParams
    base: str | None = None
    polish: list[str] = []
    only: list[str] = []


class JobInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The `input` of one RunPod job.

    kind `avatar`: inputs `photo` and `photo_side` (both optional); outputs `avatar.glb`, `body.npz`.
    kind `garment`: `GarmentParams`; inputs `size_0`, … (a brand's GLBs); outputs, each only where there is one,
    `preview.glb` (from a chart), `garment.npz` and `preview.png` (from GLBs).
    kind `dress`: `DressParams`; inputs `body` (an avatar's `body.npz`) and, for a brand's own model, `garment` (its
    `garment.npz`); output `garment.glb`.
    Both may have the inputs `photo` (the garment's front on a plain ground) and `texture` (a tile of its cloth).
    All: output `manifest.json`, written last.
    """

    contract_version: int
    attempt_id: str
    kind: Kind
    inputs: dict[str, InputFile] = {}
    outputs: dict[str, OutputFile] = {}
    params: dict[str, object] = {}
    request_id: str | msgspec.UnsetType = msgspec.UNSET
    """Of the HTTP request that ordered it, for the log."""


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


class SizeReport(msgspec.Struct, frozen=True):
    """What became of one size.

    state     : `ok`; `graded` from a neighbour; `unavailable`
    reason    : the code of `unavailable`; with `ok`: why the brand's model was refused and the chart was built
    detail    : for the brand: what it was graded from, or what is wrong where
    estimated : measures that the chart did not give and the mesh was built from all the same
    """

    size: str
    state: Literal["ok", "graded", "unavailable"]
    reason: str | None = None
    detail: str | None = None
    estimated: list[str] = []


class GarmentResult(msgspec.Struct, frozen=True):
    """What one garment job found; no size that can be built means that the garment is refused."""

    sizes: list[SizeReport]
    warnings: list[str] = []


class DressResult(msgspec.Struct, frozen=True):
    """What one dress job made. `polished`: the sizes that are draped cloth; the others are the first picture."""

    sizes: list[SizeReport]
    base: str
    polished: list[str] = []


class FileRecord(msgspec.Struct, frozen=True):
    """A file as it was uploaded; hex digests."""

    bytes: int
    sha256: str
    md5: str


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Uploaded last, so that its presence says the attempt finished. The result stands in the field of its kind."""

    attempt_id: str
    contract_version: int
    pipeline_version: str
    files: dict[str, FileRecord]
    result: AvatarResult | None
    gpu_name: str
    worker_id: str
    cold: bool
    timings_ms: dict[str, float]
    garment: GarmentResult | None = None
    dress: DressResult | None = None


class WorkerError(msgspec.Struct, frozen=True):
    """The JSON inside RunPod's top-level `error` string."""

    code: str
    retryable: bool
