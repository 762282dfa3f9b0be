"""The generator and the fit behind the trained file."""

from pathlib import Path

import numpy as np
import pytest

from gpu_worker.body.canonical import CanonicalBody
from gpu_worker.body.tape import Tape
from gpu_worker.contract import MEASUREMENTS
from gpu_worker.estimators.silhouette import MODEL_FILE, SilhouetteModel
from gpu_worker.training import bench_accuracy
from gpu_worker.training.bench_accuracy import Errors, lost_promises
from gpu_worker.training.fit_silhouette import VARIANTS, encode
from gpu_worker.training.network import fit_network
from gpu_worker.training.pictures import PICTURES_PER_BODY, Maker, Shard
from gpu_worker.training.render import Camera, Mesh, frame_person, paint
from gpu_worker.training.scenes import Studio, likely_shape, main, sample_outfit, sample_shot, sample_stance
from gpu_worker.training.wardrobe import dress
from tests.gpu_worker.photo.conftest import MAN, Draw, needs_mediapipe

MOST_MODEL_BYTES = 1_500_000


class TestRenderer:
    def test_the_person_fills_the_share_asked_for(self) -> None:
        camera = frame_person((400, 800), 1.8, 0.75, distance_m=3.0, height_m=1.2)
        ends = camera.project(camera.see(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.8]])))
        assert abs(ends[0, 1] - ends[1, 1]) == pytest.approx(0.75 * 800)
        assert ends[:, 1].mean() == pytest.approx(400)

    def test_what_is_nearer_hides_what_is_behind(self) -> None:
        def wall(y: float, colour: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            corners = np.array([[-1.0, y, 0.0], [1.0, y, 0.0], [1.0, y, 2.0], [-1.0, y, 2.0]])
            return corners, np.array([[0, 1, 2], [0, 2, 3]]), np.full((4, 3), colour)

        near, far = wall(-0.5, 250.0), wall(0.5, 10.0)
        mesh = Mesh(
            np.concatenate([near[0], far[0]]),
            np.concatenate([near[1], far[1] + 4]).astype(np.int32),
            np.concatenate([near[2], far[2]]),
        )
        canvas = np.zeros((100, 100, 3), np.uint8)
        paint(canvas, mesh, Camera(50.0, 3.0, 1.0, (50.0, 50.0)))
        assert canvas[50, 50, 0] > 60

    def test_loose_clothes_are_wider_than_tight_ones(self, studio: Studio) -> None:
        rng = np.random.default_rng(0)
        outfits = [sample_outfit(rng, womens=False) for _ in range(200)]
        eases = sorted(outfits, key=lambda outfit: outfit.top_ease)
        posed = studio.body.rest(MAN)[0]
        posed = posed - [0, 0, posed[:, 2].min()]
        tight, loose = (dress(studio.body, studio._regions, posed, o, rng).vertices for o in (eases[0], eases[-1]))
        waist = [np.ptp(v[(abs(v[:, 2] - 1.1) < 0.03) & (abs(v[:, 0]) < 0.25), 0]) for v in (tight, loose)]
        assert waist[1] > waist[0] + 0.02

    def test_the_same_seed_draws_the_same_picture(self, draw: Draw) -> None:
        assert (draw(seed=4) == draw(seed=4)).all()
        assert (draw(seed=4) != draw(seed=5)).any()

    def test_people_are_large_enough_and_upright(self) -> None:
        rng = np.random.default_rng(1)
        for _ in range(100):
            shot, stance = sample_shot(rng), sample_stance(rng)
            assert shot.fill * shot.size_px[1] >= 460
            assert abs(stance.turn) < 30


def test_a_person_for_the_demo_is_drawn_by_one_command(tmp_path: Path) -> None:
    out = tmp_path / "person.jpg"
    assert main(["--out", str(out), "--seed", "3", "--sex", "female", "--height-cm", "166"]) == 0
    assert out.read_bytes().startswith(b"\xff\xd8\xff")


def test_the_likely_body_has_the_stated_height_and_weight() -> None:
    body = CanonicalBody.load()
    shape = likely_shape(body, 166, 63, "female")
    read = Tape(body).measure(*body.rest(shape), gender=shape.gender)
    assert read["height_cm"] == pytest.approx(166, abs=1)
    assert read["weight_kg"] == pytest.approx(63, abs=3)


def test_a_shard_holds_what_was_seen(tmp_path: Path) -> None:
    needs_mediapipe()
    maker = Maker(seed=1)
    person = next(iter(maker.population.sample(np.random.default_rng(1), 1)))
    picture = maker.studio.everyday(person.shape, np.random.default_rng(2))
    seen = maker.detector.detect(picture)
    assert seen is not None
    from gpu_worker.training import pictures  # noqa: PLC0415

    row = {"body": 7, "truth": np.arange(13.0), "person": [1.0, 30.0, 0.0]} | pictures._compact(seen)
    pictures._write([row] * PICTURES_PER_BODY, 0, tmp_path / "shard.npz")
    read = Shard.load(tmp_path / "shard.npz").detection(1)
    assert np.abs(read.mask_probability - seen.mask_probability).max() < 1 / 255
    assert (read.landmarks == seen.landmarks).all()


class TestNetwork:
    def test_it_learns_a_curve_that_no_line_follows_and_does_so_again(self) -> None:
        rng = np.random.default_rng(0)
        inputs = rng.normal(size=(2000, 3))
        target = np.column_stack([np.sin(2 * inputs[:, 0]), inputs[:, 1] * inputs[:, 2]])
        first, second = (fit_network(inputs[:1500], target[:1500], seed=3) for _ in range(2))
        error = first(inputs[1500:]) - target[1500:]
        assert (error.std(axis=0) < 0.6 * target.std(axis=0)).all()
        assert (first.last == second.last).all()


class TestTrainedFile:
    def test_it_is_small_and_has_every_set_of_answers(self) -> None:
        assert MODEL_FILE.stat().st_size < MOST_MODEL_BYTES
        model = SilhouetteModel.load()
        assert model.regressors.keys() == VARIANTS.keys()
        for regressor in model.regressors.values():
            assert (np.linalg.eigvalsh(regressor.correlation) > 0).all()

    def test_writing_what_was_read_changes_nothing(self) -> None:
        model = SilhouetteModel.load()
        assert encode(dict(model.regressors)) == MODEL_FILE.read_bytes()


class TestPromises:
    """The accuracy table fails when it should."""

    @staticmethod
    def errors(rng: np.random.Generator, scale: float, claimed: float) -> Errors:
        shape = (4000, len(MEASUREMENTS))
        return Errors(scale * rng.normal(size=shape), np.full(shape, claimed))

    def test_good_numbers_pass(self) -> None:
        assert lost_promises(self.errors(np.random.default_rng(0), 3.0, 3.0), 99.0) == []

    def test_large_errors_are_told(self) -> None:
        assert len(lost_promises(self.errors(np.random.default_rng(0), 6.0, 6.0), 99.0)) == 3

    @pytest.mark.parametrize("claimed", [2.0, 4.5])
    def test_a_wrong_standard_deviation_is_told(self, claimed: float) -> None:
        assert len(lost_promises(self.errors(np.random.default_rng(0), 3.0, claimed), 99.0)) == 6

    def test_refused_good_photos_are_told(self) -> None:
        lost = lost_promises(self.errors(np.random.default_rng(0), 3.0, 3.0), 90.0)
        assert lost == ["90.0 % of good photos accepted, promised 98.0"]

    def test_training_never_sees_the_held_out(self) -> None:
        from gpu_worker.training import fit_silhouette, pictures  # noqa: PLC0415

        seeds = {pictures.TRAINING_SEED, fit_silhouette.FACTS_SEED}
        assert not seeds & {bench_accuracy.HELD_OUT_SEED, bench_accuracy.STATED_SEED}
