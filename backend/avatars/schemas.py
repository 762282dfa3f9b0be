from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar.datastructures import UploadFile
from msgspec import Meta

from gpu_worker.contract import Quantity, Sex

Status = Literal["pending", "processing", "ready", "failed"]


class PhotoForm(msgspec.Struct, frozen=True, kw_only=True):
    """Parts of a form; `consent_version` is the version of the text that the shopper agreed to."""

    photo: UploadFile
    photo_side: UploadFile | None = None
    consent_version: Annotated[str, Meta(max_length=32)] | None = None


class AvatarForm(msgspec.Struct, frozen=True, kw_only=True):
    """Centimetres and kilograms; a photo needs `consent_version`. `user_ref` is for a brand's own server alone."""

    height_cm: float
    weight_kg: float | None = None
    age: float | None = None
    sex: Sex = "unspecified"
    photo: UploadFile | None = None
    photo_side: UploadFile | None = None
    consent_version: Annotated[str, Meta(max_length=32)] | None = None
    user_ref: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    tape_chest_cm: float | None = None
    tape_waist_cm: float | None = None
    tape_waist_natural_cm: float | None = None
    tape_hip_cm: float | None = None
    tape_inseam_cm: float | None = None
    tape_shoulder_cm: float | None = None
    tape_neck_cm: float | None = None
    tape_upper_arm_cm: float | None = None
    tape_thigh_cm: float | None = None
    tape_arm_length_cm: float | None = None
    tape_torso_length_cm: float | None = None

    @property
    def tape_cm(self) -> dict[str, float]:
        """By wire name, as `AvatarParams` has it."""
        given = {name: getattr(self, name) for name in self.__struct_fields__ if name.startswith("tape_")}
        return {name.removeprefix("tape_"): value for name, value in given.items() if value is not None}


class AvatarError(msgspec.Struct, frozen=True):
    """Why the newest photo was refused, or why there is no mesh; `detail` is for the shopper."""

    code: str
    detail: str


class AvatarView(msgspec.Struct, frozen=True, kw_only=True):
    """Measurements stand at once and get better; the mesh follows. Null where the caller may not read them."""

    id: UUID
    status: Status
    stage: str | None
    progress: float
    """Stages finished, 0 to 1; never backwards within one order."""
    measurements: dict[str, Quantity] | None
    evidence: list[str] | None
    flags: list[str] | None
    glb_url: str | None
    glb_expires_at: datetime | None
    error: AvatarError | None
    waits_for: Literal["budget_exceeded"] | None
    """Told to the brand alone: why its mesh is not begun. It goes on by itself; see `/v1/budget`."""
    consent_id: UUID | None


class ErasureView(msgspec.Struct, frozen=True, kw_only=True):
    """What was deleted and when the store confirmed it. `done_at` is null while we are still at work."""

    id: UUID
    subject_type: str
    subject_id: UUID
    requested_at: datetime
    done_at: datetime | None
    receipts: list[dict[str, Any]]
    not_covered: str
