"""The handler over the real pipeline: what the backend will find in the store."""

import io
import json

import msgspec
import numpy as np
import pytest
from PIL import Image

from gpu_worker.contract import MEASUREMENTS, Manifest
from gpu_worker.handler import Handler, make_handler
from gpu_worker.main import warm_up
from gpu_worker.pipeline import Pipeline
from gpu_worker.settings import Settings
from tests.gpu_worker.handler.storage import Storage


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    loaded = Pipeline.load()
    warm_up(loaded)
    return loaded


@pytest.fixture
def handler(pipeline: Pipeline, storage: Storage) -> Handler:
    return make_handler(pipeline, Settings(storage.origin))


def picture(file_format: str) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (600, 800), "white").save(content, file_format)
    return content.getvalue()


async def test_answers_alone_become_a_body(handler: Handler, storage: Storage) -> None:
    answer = await handler(storage.job(photo=None))
    assert "error" not in answer
    assert len(json.dumps(answer)) < 10_000
    manifest = msgspec.json.decode(storage.objects["manifest.json"], type=Manifest)
    assert manifest.result is not None
    assert list(manifest.result.measurements) == list(MEASUREMENTS)
    assert np.linalg.eigvalsh(np.array(manifest.result.covariance)).min() > 0
    assert storage.objects["avatar.glb"][:4] == b"glTF"
    assert len(storage.objects["avatar.glb"]) <= 400_000
    assert len(storage.objects["body.npz"]) <= 100_000
    assert {"download", "pipeline", "upload"} < manifest.timings_ms.keys()


@pytest.mark.parametrize(
    ("photo", "params", "code"),
    [
        (picture("JPEG"), {"height_cm": 178}, "photo_no_person"),
        (picture("GIF"), {"height_cm": 178}, "photo_unreadable"),
        (picture("PNG")[:500], {"height_cm": 178}, "photo_unreadable"),
        (None, {"height_cm": 17.8}, "input_invalid"),
        (None, {"height_cm": 178, "tape_cm": {"waist_cm": -5}}, "input_invalid"),
        (None, {"height_cm": 178, "tape_cm": {"shoe": 43}}, "input_invalid"),
    ],
)
async def test_what_cannot_be_used_is_refused_for_good_and_leaves_nothing(
    handler: Handler, storage: Storage, photo: bytes | None, params: dict[str, object], code: str
) -> None:
    answer = await handler(storage.job(photo=photo, params=params))
    assert json.loads(answer["error"]) == {"code": code, "retryable": False}
    assert storage.written == []
