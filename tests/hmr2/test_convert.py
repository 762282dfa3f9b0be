"""The released checkpoint → safetensors: what is kept, what is dropped, what is refused and how."""

import json
import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gpu_worker.convert_hmr2 import Conversion, ConversionRefused, convert
from gpu_worker.estimators import hmr2
from gpu_worker.weights import WeightsLock, WeightsMissing, verify
from tests.hmr2.stand_in import TINY, weights


@pytest.fixture
def state(bundle: Path) -> dict[str, Any]:
    """What the released checkpoint holds, in the tiny configuration: inference, SMPL's own arrays, training's."""
    extra = {
        "smpl.v_template": torch.zeros(6890, 3),
        "smpl.shapedirs": torch.zeros(6890, 3, 10),
        "discriminator.D_alljoints.fc1.weight": torch.zeros(4, 4),
        "initialized": torch.tensor(1),
    }
    return {**weights(bundle, TINY), **extra}


@pytest.fixture
def configuration() -> Iterator[Any]:
    """A pickled configuration, of a class that is not installed where the checkpoint is read."""
    yacs, config = types.ModuleType("yacs"), types.ModuleType("yacs.config")
    node = type("CfgNode", (dict,), {"__module__": "yacs.config"})
    config.CfgNode = node  # type: ignore[attr-defined]
    sys.modules |= {"yacs": yacs, "yacs.config": config}
    value = node(MODEL=node(BACKBONE="vit"))
    value.__dict__["__immutable__"] = True
    yield value
    sys.modules.pop("yacs", None)
    sys.modules.pop("yacs.config", None)


def save(folder: Path, state: Any, **more: Any) -> Path:
    path = folder / "epoch=35-step=1000000.ckpt"
    torch.save({"state_dict": state, "pytorch-lightning_version": "1.8.1", "epoch": 35, **more}, path)
    return path


def converted(path: Path, out: Path, **options: Any) -> Conversion:
    return convert(path, out, sizes=TINY, **options)


class TestConvert:
    def test_keeps_the_network_in_half_precision_and_nothing_of_smpl(
        self, state: dict[str, Any], configuration: Any, tmp_path: Path
    ) -> None:
        path = save(tmp_path, state, hyper_parameters={"cfg": configuration})
        for name in ("yacs", "yacs.config"):
            del sys.modules[name]
        found = converted(path, tmp_path / "out" / "hmr2.safetensors")
        written = load_file(tmp_path / "out" / "hmr2.safetensors")
        assert all(key.startswith(("backbone.", "smpl_head.")) for key in written)
        assert all(value.dtype == torch.float16 for value in written.values())
        assert found.numbers == 192_314
        assert found.tensors == len(written) == len(hmr2.expected_shapes(TINY))
        assert 0 < found.largest < 10
        assert (tmp_path / "out" / "hmr2.safetensors").stat().st_mode & 0o044 == 0o044
        assert "yacs" not in sys.modules

    def test_the_lock_describes_the_file_and_says_what_its_licence_is(
        self, state: dict[str, Any], tmp_path: Path
    ) -> None:
        out = tmp_path / "hmr2.safetensors"
        found = converted(save(tmp_path, state), out)
        assert verify(out) == found.lock
        assert WeightsLock.beside(out).source_file.endswith(".ckpt")
        assert len(found.lock.source_sha256) == 64
        assert "research" in found.lock.licence
        assert json.loads(found.as_json())["sha256"] == found.lock.sha256

    def test_what_was_converted_loads(self, state: dict[str, Any], tmp_path: Path) -> None:
        out = tmp_path / "hmr2.safetensors"
        converted(save(tmp_path, state), out)
        network = hmr2.load(out, "cpu", sizes=TINY)
        assert network.backbone.last_norm.weight.dtype == torch.float32

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda s: s.pop("backbone.pos_embed"), "missing backbone.pos_embed"),
            (lambda s: s.update({"backbone.cls_token": torch.zeros(1)}), "unknown backbone.cls_token"),
            (lambda s: s.update({"ema.backbone.pos_embed": torch.zeros(1)}), "ema.backbone.pos_embed"),
            (lambda s: s["backbone.pos_embed"].resize_(1, 193, 32), r"\(1, 193, 32\), not \(1, 193, 64\)"),
            (lambda s: s["backbone.pos_embed"].fill_(float("nan")), "NaN"),
            (lambda s: s["backbone.pos_embed"].fill_(70_000), "more than float16"),
        ],
    )
    def test_another_checkpoint_is_refused_by_name_and_leaves_nothing(
        self, state: dict[str, Any], tmp_path: Path, change: Any, reason: str
    ) -> None:
        change(state)
        out = tmp_path / "hmr2.safetensors"
        with pytest.raises(ConversionRefused, match=reason):
            converted(save(tmp_path, state), out)
        assert [path.suffix for path in tmp_path.iterdir()] == [".ckpt"]

    def test_a_checkpoint_that_would_run_code_is_refused_and_not_run(
        self, state: dict[str, Any], tmp_path: Path
    ) -> None:
        trace = tmp_path / "ran"
        path = save(tmp_path, state, callbacks=_Malicious(str(trace)))
        with pytest.raises(ConversionRefused, match="--trust-pickle"):
            converted(path, tmp_path / "hmr2.safetensors")
        assert not trace.exists()
        converted(path, tmp_path / "hmr2.safetensors", trust_pickle=True)
        assert trace.exists()

    def test_what_is_no_checkpoint_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "photo.ckpt").write_bytes(b"\xff\xd8\xff" * 100)
        for name in ("photo.ckpt", "nothing.ckpt"):
            with pytest.raises(ConversionRefused, match=name):
                converted(tmp_path / name, tmp_path / "hmr2.safetensors")
        torch.save({"weights": torch.zeros(3)}, tmp_path / "other.ckpt")
        with pytest.raises(ConversionRefused, match="state_dict"):
            converted(tmp_path / "other.ckpt", tmp_path / "hmr2.safetensors")


class TestLock:
    def test_a_damaged_or_exchanged_file_is_noticed(self, state: dict[str, Any], tmp_path: Path) -> None:
        out = tmp_path / "hmr2.safetensors"
        converted(save(tmp_path, state), out)
        data = bytearray(out.read_bytes())
        data[-1] ^= 1
        out.write_bytes(data)
        WeightsLock.beside(out)  # the size is right: start does not hash
        with pytest.raises(WeightsMissing, match="damaged"):
            verify(out)
        out.write_bytes(data[:-1])
        with pytest.raises(WeightsMissing, match="copy both again"):
            WeightsLock.beside(out)
        (tmp_path / "weights.lock").unlink()
        with pytest.raises(WeightsMissing, match=r"weights\.lock"):
            WeightsLock.beside(out)


class _Malicious:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (self.path,)
