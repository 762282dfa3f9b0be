"""The operator's commands, as they are typed."""

import json

import pytest

from tests.backend.conftest import Tryon

pytestmark = pytest.mark.filterwarnings("ignore::backend.settings.DevelopmentModeWarning")


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_brand_and_keys_from_the_first_to_the_last(
    tryon: Tryon, engine: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "postgres":
        monkeypatch.setenv("DATABASE_URL", request.getfixturevalue("postgres_database"))
    status, made, said = tryon("brands", "create", "Atelier Nord", "--origin", "https://Shop.Example")
    assert status == 0, said
    brand = json.loads(made)
    assert brand.keys() == {"brand_id", "api_key", "embed_key"}
    assert brand["api_key"].startswith("tryon_live_")
    assert brand["embed_key"].startswith("pk_")
    second = json.loads(tryon("keys", "create", brand["brand_id"], "--label", "ci", "--test")[1])
    assert second["api_key"].startswith("tryon_test_")
    assert json.loads(tryon("keys", "revoke", second["prefix"])[1])["revoked_at"] is not None
    [listed] = [json.loads(line) for line in tryon("brands", "list")[1].splitlines()]
    assert (listed["name"], listed["allowed_origins"]) == ("Atelier Nord", ["https://shop.example"])
    assert [key["revoked_at"] is None for key in listed["keys"]] == [True, False]
    assert brand["api_key"] not in json.dumps(listed)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("brands", "create", "X", "--origin", "shop.example"), "not an origin"),
        (("keys", "revoke", "nope"), "No key"),
        (("keys", "create", "nope"), "UUID"),
        (("serve",), "tryon migrate"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(tryon: Tryon, arguments: tuple[str, ...], says: str) -> None:
    if arguments[0] == "keys":
        assert tryon("migrate")[0] == 0
    status, made, said = tryon(*arguments)
    assert (status, made) == (2, "")
    assert says in said
    assert len(said.splitlines()) == 1


def test_sweep_says_how_much_it_did(tryon: Tryon) -> None:
    assert tryon("migrate")[0] == 0
    status, made, said = tryon("sweep", "--once")
    assert (status, json.loads(made)) == (0, {"done": 0}), said
