"""The handler over the real tailor: garments checked, and put on a kept body."""

import io
import json
import struct
from typing import Any

import msgspec
import numpy as np
import pytest

from gpu_worker.body.canonical import Shape
from gpu_worker.contract import DressParams, GarmentParams, LookParams, Manifest, SizeRow
from gpu_worker.garments.garment_job import Dresser, GarmentSpec
from gpu_worker.handler import Handler, make_handler
from gpu_worker.settings import Settings
from gpu_worker.tailor import Tailor
from tests.gpu_worker.brand_garments.uploads import Part, glb_of
from tests.gpu_worker.handler.pipelines import TinyPipeline
from tests.gpu_worker.handler.storage import Storage

TEE = GarmentParams("t-shirt", [SizeRow("S", {"chest": 104.0}), SizeRow("M", {"chest": 112.0})], LookParams("#a03040"))


@pytest.fixture(scope="module")
def tailor() -> Tailor:
    loaded = Tailor(Dresser())
    loaded.warm_up()
    return loaded


@pytest.fixture
def handler(tailor: Tailor, storage: Storage) -> Handler:
    return make_handler(TinyPipeline(), Settings(storage.origin), tailor=tailor)


@pytest.fixture(scope="module")
def body_npz(tailor: Tailor) -> bytes:
    """As an avatar job keeps it: half precision."""
    vertices, _ = tailor.dresser.wardrobe.body.rest(Shape(gender=1.0, weight=0.5, muscle=0.4, height=0.4))
    out = io.BytesIO()
    np.savez(out, vertices=vertices.astype(np.float16))
    return out.getvalue()


def model_of(tailor: Tailor, size: str) -> bytes:
    """Our own cloth on a mannequin stands in for a brand's file: y up, metres, facing +z, one sheet."""
    dresser = tailor.dresser
    vertices, _ = dresser.wardrobe.body.rest(Shape(gender=0.5, weight=0.5, muscle=0.5, height=0.4))
    spec = GarmentSpec("t-shirt", {row.size: row.garment_cm for row in TEE.sizes})
    dressed = dresser.draft(dresser.wardrobe.body_of(vertices), spec)
    points = dressed.sizes[size].points
    y_up = np.stack([points[:, 0], points[:, 2], -points[:, 1]], axis=1)
    return glb_of([Part(y_up, dressed.pattern.faces)])


def made(storage: Storage) -> Manifest:
    return msgspec.json.decode(storage.objects["manifest.json"], type=Manifest)


def builtins(params: DressParams | GarmentParams) -> dict[str, Any]:
    content: dict[str, Any] = msgspec.to_builtins(params)
    return content


def mesh_of(glb: bytes) -> dict[str, Any]:
    length = struct.unpack("<I", glb[12:16])[0]
    mesh: dict[str, Any] = json.loads(glb[20 : 20 + length])["meshes"][0]
    return mesh


class TestGarment:
    async def test_a_chart_is_checked_and_shown(self, handler: Handler, storage: Storage) -> None:
        answer = await handler(storage.tailored("garment", builtins(TEE)))
        assert answer["files"] == ["preview.glb"]
        result = made(storage).garment
        assert result is not None
        assert [(size.size, size.state) for size in result.sizes] == [("S", "ok"), ("M", "ok")]
        assert "length" in result.sizes[0].estimated
        assert made(storage).result is None

    async def test_sizes_that_cannot_be_built_are_named_with_the_reason(
        self, handler: Handler, storage: Storage
    ) -> None:
        params = msgspec.structs.replace(TEE, sizes=[SizeRow("S", {"length": 70.0}), SizeRow("M", {"length": 72.0})])
        answer = await handler(storage.tailored("garment", builtins(params)))
        assert answer["files"] == [], "nothing to show is no fault"
        result = made(storage).garment
        assert result is not None
        assert {(size.state, size.reason) for size in result.sizes} == {("unavailable", "garment_invalid")}
        assert result.sizes[0].detail == "Size S of a t-shirt needs at least its chest."

    async def test_a_brands_own_model_is_made_ready_and_worn(
        self, handler: Handler, storage: Storage, tailor: Tailor, body_npz: bytes
    ) -> None:
        params = msgspec.structs.replace(TEE, uploads=["M"])
        job = storage.tailored("garment", builtins(params), size_0=model_of(tailor, "M"))
        answer = await handler(job)
        assert answer["files"] == ["garment.npz", "preview.png"], answer
        result = made(storage).garment
        assert result is not None
        assert [(size.size, size.state) for size in result.sizes] == [("S", "graded"), ("M", "ok")]
        prepared = storage.objects["garment.npz"]
        storage.objects.clear()
        job = storage.tailored("dress", builtins(DressParams(TEE)), body=body_npz, garment=prepared)
        assert (await handler(job))["files"] == ["garment.glb"]
        dress = made(storage).dress
        assert dress is not None
        assert dress.polished == ["S", "M"], "no better picture will come"

    async def test_where_no_model_can_be_used_the_chart_is_built_and_the_refusal_told(
        self, handler: Handler, storage: Storage
    ) -> None:
        params = msgspec.structs.replace(TEE, uploads=["M"])
        answer = await handler(storage.tailored("garment", builtins(params), size_0=b"glTF" + bytes(20)))
        assert answer["files"] == ["preview.glb"]
        result = made(storage).garment
        assert result is not None
        assert [(size.state, size.reason) for size in result.sizes] == [("ok", None), ("ok", "garment_invalid")]
        assert (result.sizes[1].detail or "").startswith("version: ")

    async def test_neither_model_nor_chart_is_refused_for_the_models_fault(
        self, handler: Handler, storage: Storage
    ) -> None:
        rows = [SizeRow("S", {"length": 70.0}), SizeRow("M", {"length": 72.0})]
        params = msgspec.structs.replace(TEE, sizes=rows, uploads=["M"])
        answer = await handler(storage.tailored("garment", builtins(params), size_0=b"glTF" + bytes(20)))
        assert answer["files"] == []
        result = made(storage).garment
        assert result is not None
        assert {size.state for size in result.sizes} == {"unavailable"}
        assert all((size.detail or "").startswith("version: ") for size in result.sizes)


class TestDress:
    async def test_draft_then_polish_of_what_is_looked_at(
        self, handler: Handler, storage: Storage, body_npz: bytes
    ) -> None:
        await handler(storage.tailored("dress", builtins(DressParams(TEE, "M")), body=body_npz))
        draft, first = storage.objects["garment.glb"], made(storage).dress
        assert first is not None
        assert (first.base, first.polished) == ("M", [])
        extras = mesh_of(draft)["extras"]
        assert (extras["sizes"], extras["base"], extras["targetNames"]) == (["S", "M"], "M", ["S"])
        storage.objects.clear()
        await handler(storage.tailored("dress", builtins(DressParams(TEE, "M", ["M"])), body=body_npz))
        final, second = storage.objects["garment.glb"], made(storage).dress
        assert second is not None
        assert (second.base, second.polished) == ("M", ["M"])
        assert final != draft
        assert mesh_of(final)["extras"]["sizes"] == ["S", "M"]

    async def test_the_quickest_picture_has_the_sizes_asked_for_alone(
        self, handler: Handler, storage: Storage, body_npz: bytes
    ) -> None:
        await handler(storage.tailored("dress", builtins(DressParams(TEE, "M", only=["M"])), body=body_npz))
        quick, result = mesh_of(storage.objects["garment.glb"]), made(storage).dress
        assert result is not None
        assert [(size.size, size.state) for size in result.sizes] == [("M", "ok")]
        assert (quick["extras"]["sizes"], quick["extras"]["base"]) == (["M"], "M")

    def test_a_size_alone_is_what_it_is_among_all(self, tailor: Tailor, body_npz: bytes) -> None:
        dresser = tailor.dresser
        body, spec = dresser.body(body_npz), GarmentSpec("t-shirt", {row.size: row.garment_cm for row in TEE.sizes})
        alone, among_all = dresser.draft(body, spec, only=["M"]), dresser.draft(body, spec)
        assert list(alone.sizes) == ["M"]
        np.testing.assert_array_equal(alone.sizes["M"].points, among_all.sizes["M"].points)

    async def test_where_none_of_those_asked_for_can_be_put_on_all_are_tried(
        self, handler: Handler, storage: Storage, body_npz: bytes
    ) -> None:
        params = msgspec.structs.replace(TEE, sizes=[SizeRow("XXS", {"chest": 60.0}), *TEE.sizes])
        await handler(storage.tailored("dress", builtins(DressParams(params, "XXS", only=["XXS"])), body=body_npz))
        result = made(storage).dress
        assert result is not None
        assert [size.size for size in result.sizes if size.state == "ok"] == [row.size for row in TEE.sizes]

    async def test_a_size_far_too_small_is_left_out(self, handler: Handler, storage: Storage, body_npz: bytes) -> None:
        params = msgspec.structs.replace(TEE, sizes=[SizeRow("XXS", {"chest": 60.0}), *TEE.sizes])
        await handler(storage.tailored("dress", builtins(DressParams(params, "XXS")), body=body_npz))
        result = made(storage).dress
        assert result is not None
        assert [(size.size, size.reason) for size in result.sizes if size.state == "unavailable"] == [
            ("XXS", "does_not_fit")
        ]
        assert result.base != "XXS"

    @pytest.mark.parametrize(
        ("params", "body", "code"),
        [
            (DressParams(TEE), b"PK\x03\x04 no body", "body_invalid"),
            (DressParams(msgspec.structs.replace(TEE, category="jacket")), None, "garment_invalid"),
            (DressParams(msgspec.structs.replace(TEE, look=LookParams("red"))), None, "garment_invalid"),
            (DressParams(GarmentParams("t-shirt", [SizeRow("M", {"chest": 50.0})])), None, "does_not_fit"),
            (DressParams(GarmentParams("t-shirt", [])), None, "garment_invalid"),
        ],
    )
    async def test_what_cannot_be_worn_is_refused_for_good(
        self, params: DressParams, body: bytes | None, code: str, handler: Handler, storage: Storage, body_npz: bytes
    ) -> None:
        answer = await handler(storage.tailored("dress", builtins(params), body=body or body_npz))
        assert json.loads(answer["error"]) == {"code": code, "retryable": False}
        assert storage.written == []


class TestWrongJob:
    @pytest.mark.parametrize(
        ("kind", "inputs", "changes"),
        [
            ("dress", {}, {}),
            ("dress", {"body": b"b", "size_0": b"p"}, {}),
            ("dress", {"body": b"b"}, {"params": {"height_cm": 178}}),
            ("garment", {"size_0": b"m"}, {}),
            ("garment", {}, {"outputs": {}}),
            ("garment", {}, {"params": {"category": "t-shirt", "sizes": [], "price": 3}}),
        ],
    )
    async def test_is_refused_unread(
        self, kind: str, inputs: dict[str, bytes], changes: dict[str, Any], handler: Handler, storage: Storage
    ) -> None:
        params = builtins(TEE if kind == "garment" else DressParams(TEE))
        job = storage.tailored(kind, params, **inputs)
        job["input"] |= changes
        assert json.loads((await handler(job))["error"]) == {"code": "input_invalid", "retryable": False}

    async def test_a_worker_without_tailor_says_so(self, storage: Storage) -> None:
        handler = make_handler(TinyPipeline(), Settings(storage.origin))
        answer = await handler(storage.tailored("garment", builtins(TEE)))
        assert json.loads(answer["error"]) == {"code": "input_invalid", "retryable": False}
