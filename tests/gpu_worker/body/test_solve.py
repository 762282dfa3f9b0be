"""Measurements to a body."""

import numpy as np
import pytest

from gpu_worker.body.canonical import Shape
from gpu_worker.body.family import PARAMETERS, PHENOTYPES, shape_of
from gpu_worker.body.solve import GENDER_OF, LOCAL_LIMIT, Solver, age_phenotype
from gpu_worker.contract import Sex

MAN = {"height_cm": 178.0, "weight_kg": 80.0, "chest_cm": 101.0, "waist_cm": 91.0, "hip_cm": 101.0, "inseam_cm": 84.0}
WOMAN = {"height_cm": 165.0, "weight_kg": 63.0, "chest_cm": 92.0, "waist_cm": 82.0, "hip_cm": 100.0, "inseam_cm": 77.0}


def reachable_targets(solver: Solver, seed: int) -> tuple[Sex, dict[str, float]]:
    """What the tape reads on a random person of the shape space."""
    rng = np.random.default_rng(seed)
    sex: Sex = "male" if seed % 2 else "female"
    local_changes = len(PARAMETERS) - len(PHENOTYPES)
    parameters = np.concatenate(
        [rng.uniform(0.25, 0.5, 1), rng.uniform(0.3, 0.7, 3), rng.uniform(-0.4, 0.4, local_changes)]
    )
    shape = shape_of(parameters, Shape(gender=GENDER_OF[sex], age=age_phenotype(None)))
    return sex, solver.tape.measure(*solver.body.rest(shape), gender=shape.gender)


class TestSolve:
    @pytest.mark.parametrize("seed", range(12))
    def test_reachable_measurements_are_met_within_3_mm(self, solver: Solver, seed: int) -> None:
        sex, truth = reachable_targets(solver, seed)
        targets = {name: value for name, value in truth.items() if name != "waist_natural_cm"}
        solution = solver.solve(targets, {}, sex, None)
        for name, value in targets.items():
            if name.endswith("_cm"):
                assert solution.measurements[name] == pytest.approx(value, abs=0.3), name
        assert solution.measurements["waist_natural_cm"] == pytest.approx(truth["waist_natural_cm"], abs=2.5)

    @pytest.mark.parametrize("extreme", [-60.0, 60.0])
    def test_impossible_measurements_stay_inside_the_boxes(self, solver: Solver, extreme: float) -> None:
        targets = {**WOMAN, "waist_cm": WOMAN["waist_cm"] + extreme}
        solution = solver.solve(targets, {}, "female", None)
        phenotypes, local = solution.parameters[: len(PHENOTYPES)], solution.parameters[len(PHENOTYPES) :]
        assert ((phenotypes >= 0) & (phenotypes <= 1)).all()
        assert (np.abs(local) <= LOCAL_LIMIT).all()
        assert solution.cost > 9
        assert np.isfinite(solution.vertices).all()

    def test_the_same_targets_give_the_same_body(self, solver: Solver) -> None:
        first, again = (solver.solve(MAN, dict.fromkeys(MAN, 2.0), "male", 40.0) for _ in range(2))
        np.testing.assert_array_equal(first.vertices, again.vertices)

    def test_solution_is_what_its_parameters_and_shape_say(self, solver: Solver) -> None:
        solution = solver.solve(MAN, {}, "male", None)
        vertices, heads = solver.body.rest(solution.shape)
        np.testing.assert_allclose(solution.vertices, vertices, atol=1e-6)
        assert solver.tape.measure(vertices, heads, gender=0.0) == pytest.approx(solution.measurements, abs=0.001)

    def test_missing_measurements_stay_near_an_ordinary_person(self, solver: Solver) -> None:
        alone = solver.solve({"height_cm": 182.0, "weight_kg": 84.0}, {}, "male", None)
        assert alone.measurements["height_cm"] == pytest.approx(182, abs=0.3)
        assert 90 < alone.measurements["chest_cm"] < 115
        assert 78 < alone.measurements["inseam_cm"] < 95

    def test_unspecified_sex_is_built_half_way(self, solver: Solver) -> None:
        assert solver.solve(WOMAN, {}, "unspecified", None).shape.gender == 0.5

    def test_a_loose_target_yields_to_a_tight_one(self, solver: Solver) -> None:
        """Visible crotch and covered limbs come with large deviations: they must not make balloon thighs."""
        targets = {**MAN, "thigh_cm": 85.0}
        loose, tight = (solver.solve(targets, {"thigh_cm": sd}, "male", None) for sd in (8.0, 0.5))
        assert loose.measurements["thigh_cm"] < tight.measurements["thigh_cm"] - 3
        assert loose.measurements["chest_cm"] == pytest.approx(MAN["chest_cm"], abs=0.7)

    def test_age_moves_the_body_towards_the_old_anchor_and_no_further(self, solver: Solver) -> None:
        assert solver.solve(MAN, {}, "male", 16.0).shape.age == pytest.approx(2 / 3)
        assert solver.solve(MAN, {}, "male", 80.0).shape.age == pytest.approx(0.949, abs=0.01)

    def test_a_target_that_is_not_a_number_is_refused(self, solver: Solver) -> None:
        with pytest.raises(ValueError, match="NaN"):
            solver.solve({**MAN, "hip_cm": float("nan")}, {}, "male", None)

    def test_a_solve_needs_few_looks_at_the_body(self, solver: Solver) -> None:
        """About 11; each costs a tape with its derivatives, so this is what a solve's time is made of."""
        man = solver.solve(MAN, dict.fromkeys(MAN, 2.0), "male", None)
        woman = solver.solve(WOMAN, dict.fromkeys(WOMAN, 2.0), "female", None)
        assert max(man.evaluations, woman.evaluations) <= 25
