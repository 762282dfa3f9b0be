"""Photo, height and weight in one: the closed-form limits, the derivatives, and its worth on synthetic people."""

import numpy as np
import pytest

from gpu_worker.body.smpl import SmplModel, volume
from gpu_worker.body.smpl_canonical import CanonicalTape
from gpu_worker.estimators.hmr2_shape import CLOTHES_KG, DENSITY_KG_M3, ShapeSpace, Stated, fuse_stated

RANDOM = np.random.default_rng(5)
BETAS = RANDOM.normal(0, 0.7, (5, 10))


@pytest.fixture(scope="module")
def space(smpl: SmplModel) -> ShapeSpace:
    return ShapeSpace(smpl)


@pytest.mark.parametrize("betas", BETAS)
class TestShapeSpace:
    def test_volume_and_stature_are_the_meshes_own(self, smpl: SmplModel, space: ShapeSpace, betas: np.ndarray) -> None:
        vertices = smpl.vertices(betas)
        assert space.volume(betas)[0] == pytest.approx(volume(vertices, smpl.faces), abs=1e-12)
        assert space.stature(betas)[0] == pytest.approx(np.ptp(vertices[:, 1]), abs=1e-12)

    def test_gradients_are_those_of_differences(self, space: ShapeSpace, betas: np.ndarray) -> None:
        step = 1e-6
        for quantity in (space.volume, space.stature):
            numeric = [(quantity(betas + step * unit)[0] - quantity(betas)[0]) / step for unit in np.eye(10)]
            assert np.abs(quantity(betas)[1] - numeric).max() <= 1e-5


class TestFusion:
    def test_a_certain_photo_leaves_only_scale(self, space: ShapeSpace) -> None:
        seen = BETAS[0]
        person = Stated(space, seen, 1e9 * np.eye(10), 1.80, None, height_sd_m=1e-6, log_scale_sd=1.0)
        found = fuse_stated(person)
        assert np.abs(found.betas - seen).max() <= 1e-4
        assert found.scale == pytest.approx(1.80 / space.stature(seen)[0], rel=1e-5)

    def test_without_scale_height_has_its_closed_form(self, space: ShapeSpace) -> None:
        seen, height_m, sd_m = np.zeros(10), space.stature(np.zeros(10))[0] + 0.03, 0.01
        precision = np.diag(np.linspace(1, 3, 10))
        found = fuse_stated(Stated(space, seen, precision, height_m, None, height_sd_m=sd_m, log_scale_sd=1e-6))
        stature, slope = space.stature(found.betas)
        per_beta = np.linalg.solve(precision, slope)
        wanted = per_beta * (height_m - (stature - slope @ found.betas)) / (slope @ per_beta + sd_m**2)
        assert np.abs(found.betas - wanted).max() <= 1e-5

    def test_height_and_weight_are_met_and_the_covariance_is_sound(self, space: ShapeSpace) -> None:
        for seen in BETAS:
            found = fuse_stated(Stated(space, seen, np.eye(10), 1.75, 74.0))
            assert found.scale * space.stature(found.betas)[0] == pytest.approx(1.75, abs=0.02)
            mass = DENSITY_KG_M3 * found.scale**3 * space.volume(found.betas)[0] + CLOTHES_KG
            assert mass == pytest.approx(74, abs=4)
            assert np.linalg.eigvalsh(found.covariance).min() > 0

    def test_the_photo_is_kept_where_nothing_is_stated_against_it(self, space: ShapeSpace) -> None:
        seen = BETAS[1]
        mass = DENSITY_KG_M3 * space.volume(seen)[0] + CLOTHES_KG
        found = fuse_stated(Stated(space, seen, np.eye(10), space.stature(seen)[0], mass))
        assert np.abs(found.betas - seen).max() <= 1e-6
        assert found.disagreement <= 1e-9

    def test_a_contradiction_shows(self, space: ShapeSpace) -> None:
        thin = Stated(space, np.zeros(10), 10 * np.eye(10), 1.73, 68.0)
        heavy = Stated(space, np.zeros(10), 10 * np.eye(10), 1.73, 160.0)
        assert fuse_stated(thin).disagreement < 29.6 < fuse_stated(heavy).disagreement

    def test_weight_is_what_helps_girths(self, space: ShapeSpace, smpl: SmplModel) -> None:
        """100 synthetic people seen at half contrast with noise: height alone hardly moves girths, weight does."""
        tape, rng = CanonicalTape(smpl), np.random.default_rng(11)
        names = ("height_cm", "chest_cm", "waist_cm", "hip_cm")

        def read(betas: np.ndarray, scale: float = 1.0) -> np.ndarray:
            found = tape.measure(betas, scale=scale, gender=0.5)
            return np.array([found[name] for name in names])

        errors: dict[str, list[np.ndarray]] = {"photo": [], "height": [], "both": []}
        for _ in range(100):
            true = rng.normal(0, 0.9, 10)
            seen = 0.5 * true + 0.5 * rng.normal(0, 0.6, 10)
            height_m = space.stature(true)[0] + rng.normal(0, 0.01)
            weight_kg = DENSITY_KG_M3 * space.volume(true)[0] + CLOTHES_KG + rng.normal(0, 1.5)
            errors["photo"].append(read(seen) - read(true))
            for label, weight in (("height", None), ("both", weight_kg)):
                found = fuse_stated(Stated(space, seen, np.eye(10) / 0.34, height_m, weight))
                errors[label].append(read(found.betas, found.scale) - read(true))
        mean = {label: np.abs(rows).mean(axis=0) for label, rows in errors.items()}
        print({label: dict(zip(names, row.round(2).tolist(), strict=True)) for label, row in mean.items()})  # noqa: T201
        assert mean["height"][0] < 0.5 * mean["photo"][0]
        assert (mean["height"][1:] > 0.7 * mean["photo"][1:]).all()
        assert (mean["both"][1:] < 0.5 * mean["photo"][1:]).all()
