"""Messages between backend and worker as they have gone over the wire. Files here are added, never edited.

Old workers and a new backend, or the reverse, meet during every roll-out: what was once sent must stay readable.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gpu_worker import contract
from gpu_worker.contract import AvatarParams, DressParams, GarmentParams, JobInput, Manifest, WorkerError
from gpu_worker.handler import avatar_params, decode_job

GOLDEN = Path(__file__).parent / "golden"
SHA256 = {
    "job_input_answers.v1.json": "30f0f895e20334dc96549060acc89415a83a67e97e1ce3ad9f3be69a672a1eb7",
    "job_input_dress.v1.json": "6f792eb0c55208434b17af9e1e277fbdf00565ef30618efe33302f9be3108579",
    "job_input_dress_first.v1.json": "d1ba7b11cdea5de4b8f841b97a89415723f21bc5e506da552eb00f418ec4f972",
    "job_input_dress_models.v1.json": "f747c5dcb8b6eb70e0e4c81a5eab6c6de1bda8fa735f06e38700fa57bbeee0d0",
    "job_input_garment.v1.json": "e820fd08617c968a9176ff9c1858663ab3fc7b716adf167c16e1f65c7ef5bd04",
    "job_input_garment_models.v1.json": "4800bf9147039dd29c86cd7bb9c2c725eafddc7fd30ed1417e903bba20600615",
    "job_input_noop.v1.json": "34051dd5e8d84ecf64ee53e71bee273aac99298fb5d48d679f09b4eddccd94a0",
    "job_input_photo.v1.json": "3062f0e47c86e1284faca66939da1abe20bfacdc62a98520ea1bc35ce93c24a8",
    "job_input_traced.v1.json": "a0d1f778998d307a57ce0390727e08cf3583f7dd98f8b6363a0353e8dd09880e",
    "job_input_two_photos.v1.json": "f86cc347a97b4fc9fa9851510763369a41fe2046bfb802b46439bc351ba3e5eb",
    "manifest_avatar.v1.json": "e59a84357e642a85720d464438794d5e617758443f966a685d8cd02c1cb13bfa",
    "manifest_dress.v1.json": "9ddf8d304c688b57336312a7474ff42750c6a1be9f8f88d81ef8da96d178a6fe",
    "manifest_garment.v1.json": "5fb1888d41ff97821441adeaa9a01c512527441bed5254102ca3e5b9d999c776",
    "manifest_noop.v1.json": "f2a824444279b7c6c68180f8439eb58af8fdb7cfeb2a3fd4a45af37d05c66aef",
    "runpod/cancelled.v1.json": "2054105243d6b196abd8f7f51db15b089b000edf4701469317f58f71327cf55b",
    "runpod/completed.v1.json": "cba05788d72c0c67f004e64160430a98f2af6d856ecf9278bbd89f3dfeecb820",
    "runpod/expired.v1.json": "e901b20bd81ee2d686d1a15059a4884f7ee052b33a7e57cdeb4e3cf895096ff1",
    "runpod/failed_by_an_exception.v1.json": "c1db19e2339e31d06e3b760621f481a7c094ca66b4ff2585cc6a7e3db4a7cf74",
    "runpod/failed_by_the_handler.v1.json": "43bd5af989456aedeb46427e25826ca48ab682cc5fe1dc1ea4deaccab760ceff",
    "runpod/health.v1.json": "6ab9e718865fa4bb32d42b43e9081a07b3047d864efd031d9d4c6638876d253a",
    "runpod/purged.v1.json": "db94b956642b606a5cb77203af12e0d4d1beafcbcc8a93690429c24fe0876379",
    "runpod/rest_change_refused.v1.json": "22ed1abdfda08099ad0341c9f36a1f9e9ea434470706583f169859f6ab4847d1",
    "runpod/rest_endpoint.v1.json": "bc230e3e7c57475787a538a271beb83fcb9758e850933536197c2a7fd5ed9da6",
    "runpod/rest_gpu_prices.v1.json": "bbf9de61e56964c3560ada375b60dc4b15ceaa9bcfb9e7c7d5b72ea46afa6e67",
    "runpod/rest_scaling_changed.v1.json": "52dcd720b0bce3e8f236f9bae36f369abff347b0ae82009e0072024ecc1df560",
    "runpod/rest_workers.v1.json": "1fcad27d7c036cf186a2f3c02974aadaba72f8cfa5c564473ae556b5465c8fe2",
    "runpod/rest_workers_changed.v1.json": "a233c7ccb61885cd370ded4db2fb1fc4538700da63e349bb3c793a0b1d54eca1",
    "runpod/states_added_later.v1.json": "3621e5bcfae8da1b40b4c1176a13cf53220bc8526adafec979430d6c3e325b10",
    "runpod/throttled.v1.json": "3684c2e6528c0a86caa4f1f7379f94891c56233bdb94949b71287860696884ed",
    "runpod/timed_out.v1.json": "0e126b7cdcb0c8d0be90c7081d7a4e8a1c459d40f7cb54e492a3edfd71df5af8",
    "runpod/too_large.v1.json": "e89da99e5f36e69af331cc5cb2336f2e3a95575481b5aa05a3fef097500fb777",
    "runpod/unknown.v1.json": "1a5161be90001bd139f0d3e2815a3d892917d2bd432bae7c94d2ddbb9098dc02",
    "runpod/wrong_key.v1.json": "7ec0ddfca3044770504870324b86aecb63b301546159159564ebac0c24bf225b",
    "words.v1.json": "b8683f827d73f9f0d9f1e5e6dbfbb33846880920f836626f242b7faa6f9c4e60",
    "worker_error_permanent.v1.json": "800a344c26437071317f953fca4c1f0613fce7e8abb46c5f79ec6b1cd5cd6f20",
    "worker_error_retryable.v1.json": "5e87829adc6158883a1b0dc114df0de623cbef88f0d23acb620d171748f2be92",
}
PARAMS: dict[str, Any] = {"garment": GarmentParams, "dress": DressParams}
TYPES: dict[str, Any] = {"job_input": JobInput, "manifest": Manifest, "worker_error": WorkerError}


def names(kind: str) -> list[str]:
    return sorted(path.name for path in GOLDEN.glob(f"{kind}_*.json"))


def golden(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text(encoding="utf-8"))


def test_golden_files_are_added_and_never_edited() -> None:
    files = [path for path in GOLDEN.rglob("*") if path.is_file()]
    assert {str(path.relative_to(GOLDEN)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files} == SHA256


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in TYPES for name in names(kind)])
def test_what_was_once_sent_is_read_and_written_the_same(kind: str, name: str) -> None:
    message = msgspec.json.decode((GOLDEN / name).read_bytes(), type=TYPES[kind])
    assert json.loads(msgspec.json.encode(message)) == golden(name)


@pytest.mark.parametrize("name", names("job_input"))
def test_the_worker_takes_every_job_ever_sent(name: str) -> None:
    task = decode_job(golden(name))
    if task.kind == "avatar":
        assert msgspec.to_builtins(avatar_params(task)) == golden(name)["params"]
    if task.kind in PARAMS:
        understood = msgspec.to_builtins(msgspec.convert(task.params, PARAMS[task.kind]))
        assert understood | golden(name)["params"] == understood, "and what was added later has its default"


@pytest.mark.parametrize(
    ("struct", "name"),
    [(JobInput, "job_input_photo.v1.json"), (AvatarParams, "job_input_photo.v1.json")],
)
def test_a_field_the_worker_does_not_know_is_refused_and_not_guessed_at(struct: type[Any], name: str) -> None:
    content = golden(name) if struct is JobInput else golden(name)["params"]
    msgspec.convert(content, struct)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(content | {"added_later": 1}, struct)


def test_a_field_the_backend_does_not_know_is_skipped() -> None:
    content = golden("manifest_avatar.v1.json") | {"added_later": 1}
    assert msgspec.convert(content, Manifest).attempt_id == content["attempt_id"]


def test_words_keep_their_order_and_none_is_taken_away() -> None:
    words = golden("words.v1.json")
    assert list(contract.MEASUREMENTS) == words["measurements"]
    assert [str(stage) for stage in contract.Stage] == words["stages"]
    assert set(words["permanent"]) <= set(contract.PERMANENT_ERRORS)
    assert set(words["retryable"]) <= set(contract.RETRYABLE_ERRORS)
    assert not set(contract.PERMANENT_ERRORS) & set(contract.RETRYABLE_ERRORS)
