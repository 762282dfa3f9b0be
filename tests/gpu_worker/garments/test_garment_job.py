"""From an avatar's `body.npz` and a chart to GLBs, as a worker's job runs it."""

import io

import numpy as np
import pytest

from gpu_worker.garments.garment_job import Dresser, DressRefused, GarmentSpec
from gpu_worker.garments.winding import inside

from .conftest import Person


@pytest.fixture(scope="module")
def dresser() -> Dresser:
    return Dresser()


def kept(person: Person) -> bytes:
    """As `body.npz` keeps it: half precision."""
    out = io.BytesIO()
    np.savez(out, vertices=person.vertices.astype(np.float16))
    return out.getvalue()


TEE = GarmentSpec("t-shirt", {"S": {"chest": 104.0}, "M": {"chest": 112.0}})


class TestDresser:
    def test_a_kept_body_is_dressed_without_touching_the_full_one(self, dresser: Dresser, people: list[Person]) -> None:
        body = dresser.body(kept(people[0]))
        dressed = dresser.draft(body, TEE)
        assert not inside(people[0].winding, dressed.sizes["S"].points).any()
        assert dresser.encode(body, dressed, TEE)[:4] == b"glTF"

    def test_final_has_the_drafts_sizes(self, dresser: Dresser, people: list[Person]) -> None:
        body = dresser.body(kept(people[0]))
        dressed = dresser.draft(body, TEE)
        final = dresser.final(body, dressed)
        assert list(final.sizes) == list(dressed.sizes)
        assert not np.array_equal(final.sizes["M"].points, dressed.sizes["M"].points)

    @pytest.mark.parametrize(
        ("spec", "code"),
        [
            (GarmentSpec("t-shirt", {}), "garment_invalid"),
            (GarmentSpec("t-shirt", {"M": {"length": 70.0}}), "garment_invalid"),
            (GarmentSpec("t-shirt", {"M": {"chest": float("nan")}}), "garment_invalid"),
            (GarmentSpec("t-shirt", {"M": {"chest": 104.0, "length": -3.0}}), "garment_invalid"),
            (GarmentSpec("t-shirt", {"M": {"chest": 4000.0}}), "garment_invalid"),
            (GarmentSpec("t-shirt", {"M": {"chest": 50.0}}), "does_not_fit"),
        ],
    )
    def test_what_cannot_be_built_is_refused(
        self, dresser: Dresser, people: list[Person], spec: GarmentSpec, code: str
    ) -> None:
        body = dresser.body(kept(people[2]))
        with pytest.raises(DressRefused) as refused:
            dresser.draft(body, spec)
        assert refused.value.code == code

    @pytest.mark.parametrize("data", [b"", b"not an archive", b"PK\x03\x04"])
    def test_what_is_no_body_is_refused(self, dresser: Dresser, data: bytes) -> None:
        with pytest.raises(DressRefused) as refused:
            dresser.body(data)
        assert refused.value.code == "body_invalid"
