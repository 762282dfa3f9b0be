"""A file of garments: every line counts once, whatever stops in between, and what is wrong is told by line."""

import csv
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from litestar import Litestar

from backend.cli import main
from backend.garments import import_controller
from backend.garments import imports as imports_module
from backend.garments.csv_rows import FileRefused, ReadFile, read_garments, refused_lines
from backend.garments.imports import BATCH, Imports
from backend.settings import Settings
from tests.factories import Given, GivenBrand
from tests.scripted_endpoint import rows

HEADER = "external_id,name,category,unit,measures,size,chest,length,colour"


def tees(count: int) -> str:
    lines = [HEADER]
    for n in range(count):
        lines += [f"T{n},Tee {n},t-shirt,cm,garment,S,96,68,#aa0000", f"T{n},,,,,M,102,70,"]
    return "\n".join(lines) + "\n"


@pytest.fixture
async def brand(given: Given) -> GivenBrand:
    return await given.brand()


class Import:
    def __init__(self, http: httpx.AsyncClient, brand: GivenBrand, app: Litestar) -> None:
        self.http, self.brand, self.app = http, brand, app

    async def send(self, table: str | bytes) -> httpx.Response:
        said = self.brand.headers | {"Content-Type": "text/csv"}
        return await self.http.post("/v1/garments/import", content=table, headers=said)

    async def work(self) -> None:
        """The background's part, one round."""
        state = self.app.state
        await Imports(state.database, state.clock, state.garment_listeners).run_due()

    async def read(self, made: Any) -> Any:
        answer = await self.http.get(f"/v1/garments/imports/{made['id']}", headers=self.brand.headers)
        return answer.json()

    async def garments(self) -> list[Any]:
        answer = await self.http.get("/v1/garments", headers=self.brand.headers, params={"limit": 200})
        items: list[Any] = answer.json()["items"]
        return items


@pytest.fixture
def importing(http: httpx.AsyncClient, brand: GivenBrand, app: Litestar) -> Import:
    return Import(http, brand, app)


class TestImport:
    async def test_lines_become_garments(self, importing: Import) -> None:
        answer = await importing.send(tees(3))
        begun = answer.json()
        assert (answer.status_code, begun["state"], begun["total"], begun["done"]) == (202, "running", 3, 0)
        assert answer.headers["location"] == f"/v1/garments/imports/{begun['id']}"
        await importing.work()
        done = await importing.read(begun)
        assert (done["state"], done["done"], done["made"], done["failed"]) == ("done", 3, 3, 0)
        tee = (await importing.garments())[0]
        assert (tee["external_id"], tee["name"], tee["look"]["colour"]) == ("T0", "Tee 0", "#aa0000")
        assert tee["size_chart"]["sizes"] == {"S": {"chest": 96, "length": 68}, "M": {"chest": 102, "length": 70}}

    async def test_the_same_file_again_changes_nothing(self, app: Litestar, importing: Import) -> None:
        begun = (await importing.send(tees(3))).json()
        await importing.work()
        before = await importing.garments()
        again = (await importing.send(tees(3))).json()
        assert again["id"] == begun["id"]
        await importing.work()
        done = await importing.read(again)
        assert (done["made"], done["changed"], done["unchanged"]) == (0, 0, 3)
        assert await importing.garments() == before
        assert await rows(app.state.database, "select count(*) from jobs where kind = 'garment'") == [(3,)]

    async def test_a_changed_line_changes_its_garment(self, importing: Import) -> None:
        await importing.send(tees(3))
        await importing.work()
        begun = (await importing.send(tees(3).replace("T1,Tee 1", "T1,Shirt"))).json()
        await importing.work()
        done = await importing.read(begun)
        assert (done["made"], done["changed"], done["unchanged"]) == (0, 1, 2)
        assert [garment["name"] for garment in await importing.garments()] == ["Tee 0", "Shirt", "Tee 2"]

    async def test_a_stop_in_the_middle_loses_and_repeats_nothing(self, app: Litestar, importing: Import) -> None:
        begun = (await importing.send(tees(2 * BATCH + 3))).json()
        state = app.state
        imports = Imports(state.database, state.clock, state.garment_listeners)
        assert await imports.work(importing.brand.id, UUID(begun["id"]))
        assert (await importing.read(begun))["done"] == BATCH
        again = (await importing.send(tees(2 * BATCH + 3))).json()
        assert (again["id"], again["done"]) == (begun["id"], BATCH), "it goes on where it stood"
        await importing.work()
        done = await importing.read(begun)
        assert (done["state"], done["made"], done["failed"]) == ("done", 2 * BATCH + 3, 0)
        assert len(await importing.garments()) == 2 * BATCH + 3

    async def test_what_is_wrong_is_told_by_line_and_the_rest_goes_in(self, importing: Import) -> None:
        table = "\n".join(  # noqa: FLY002  a line for each line
            [
                HEADER,
                "A,Good,t-shirt,cm,garment,M,102,70,",
                "B,Falling,t-shirt,cm,garment,S,102,70,",
                "B,,,,,M,96,70,",
                "C,No number,t-shirt,cm,garment,M,wide,70,",
                ",Nameless,t-shirt,cm,garment,M,102,70,",
                "D,Jacket,jacket,cm,garment,M,102,70,",
                "E,Twice,t-shirt,cm,garment,M,102,70,",
                "E,Other,t-shirt,cm,garment,M,103,70,",
                "F,Short,t-shirt,cm",
            ]
        )
        begun = (await importing.send(table)).json()
        await importing.work()
        done = await importing.read(begun)
        assert (done["total"], done["made"], done["failed"]) == (7, 1, 6)
        told = {(one["line"], one["column"], one["code"]) for one in done["problems"]}
        assert told == {
            (4, "chest", "not_rising"),
            (5, "chest", "not_a_number"),
            (6, "external_id", "missing_value"),
            (7, "category", "invalid_value"),
            (9, "name", "contradiction"),
            (9, "size", "duplicate_size"),
            (10, None, "wrong_width"),
        }
        assert [garment["name"] for garment in await importing.garments()] == ["Good"]

    async def test_another_brands_import_is_not_found(
        self, http: httpx.AsyncClient, importing: Import, given: Given
    ) -> None:
        begun = (await importing.send(tees(1))).json()
        other = await given.brand()
        answer = await http.get(f"/v1/garments/imports/{begun['id']}", headers=other.headers)
        assert (answer.status_code, answer.json()["code"]) == (404, "import_not_found")

    @pytest.mark.parametrize(
        "table",
        [
            b"",
            b"\xff\xfe\x00",
            tees(1).replace("Tee 0", "Tee\0").encode(),
            b"name,size\nTee,M\n",
            f"{HEADER},price\n".encode(),
            f"{HEADER},name\n".encode(),
        ],
        ids=["empty", "no text", "NUL", "columns missing", "column unknown", "column twice"],
    )
    async def test_what_is_no_such_table_is_refused(self, table: bytes, importing: Import) -> None:
        answer = await importing.send(table)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_file")

    async def test_one_import_that_cannot_go_on_holds_up_no_other(
        self, importing: Import, given: Given, http: httpx.AsyncClient, app: Litestar, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stuck = (await importing.send(tees(1))).json()
        other = Import(http, await given.brand(), app)
        begun = (await other.send(tees(1))).json()
        work = Imports.work

        async def failing(self: Imports, brand_id: UUID, import_id: UUID) -> bool:
            if str(import_id) == stuck["id"]:
                raise RuntimeError("no garment's fault")
            return await work(self, brand_id, import_id)

        monkeypatch.setattr(Imports, "work", failing)
        await importing.work()
        assert (await other.read(begun))["state"] == "done"
        monkeypatch.undo()
        await importing.work()
        assert (await importing.read(stuck))["made"] == 1

    async def test_imports_take_turns(
        self, importing: Import, given: Given, http: httpx.AsyncClient, app: Litestar, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await importing.send(tees(2 * BATCH))
        await Import(http, await given.brand(), app).send(tees(BATCH))
        turns: list[UUID] = []
        work = Imports.work

        async def noting(self: Imports, brand_id: UUID, import_id: UUID) -> bool:
            turns.append(import_id)
            return await work(self, brand_id, import_id)

        monkeypatch.setattr(Imports, "work", noting)
        monkeypatch.setattr(imports_module, "STEP_S", 60)
        await importing.work()
        assert len(turns) == 3
        assert turns[0] == turns[2] != turns[1]

    async def test_others_are_answered_while_a_file_is_read(
        self, importing: Import, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read_in: list[threading.Thread] = []

        def noting(content: bytes) -> ReadFile:
            read_in.append(threading.current_thread())
            return read_garments(content)

        monkeypatch.setattr(import_controller, "read_garments", noting)
        assert (await importing.send(tees(1))).status_code == 202
        assert read_in != [threading.current_thread()]

    async def test_too_large_a_file_is_refused(self, importing: Import) -> None:
        assert (await importing.send(b"x" * 5_000_001)).status_code == 413


class TestReading:
    def test_as_spreadsheets_write_it(self) -> None:
        """With a mark at its start, semicolons, decimal commas and quotes."""
        table = '﻿external_id;name;category;size;chest\nA;"Tee; ""red""";t-shirt;M;"102,5"\n\nA;;;L;108\n'
        read = read_garments(table.encode())
        [garment] = read.garments
        assert garment.body["name"] == 'Tee; "red"'
        assert garment.body["size_chart"]["sizes"] == {"M": {"chest": 102.5}, "L": {"chest": 108}}
        assert garment.lines == {"M": 2, "L": 4}

    def test_ranges_are_of_bodies_alone(self) -> None:
        table = "external_id,name,category,size,measures,chest\nA,Tee,t-shirt,M,{},86–90\n"
        assert read_garments(table.format("body").encode()).garments[0].body["size_chart"]["sizes"]["M"]["chest"] == 88
        refused = read_garments(table.format("garment").encode())
        assert [(one.line, one.code) for one in refused.problems] == [(2, "not_a_number")]

    def test_formulas_are_text(self) -> None:
        table = "external_id,name,category,size,chest\nA,=cmd|' /C calc',t-shirt,M,=1+1\n"
        assert [one.column for one in read_garments(table.encode()).problems] == ["chest"]

    @pytest.mark.parametrize("digits", [20, 5000])
    def test_a_product_of_too_many_digits_is_told(self, digits: int) -> None:
        table = f"external_id,name,category,size,chest,shopify_product_id\nA,Tee,t-shirt,M,102,{'9' * digits}\n"
        assert [one.column for one in read_garments(table.encode()).problems] == ["shopify_product_id"]

    def test_a_million_lines_are_refused_by_size(self) -> None:
        with pytest.raises(FileRefused, match="at most"):
            read_garments(("a,b,c,d\n" * 1_000_000).encode())


class TestRefusedLines:
    def test_a_mended_file_is_whole_garments(self) -> None:
        """A garment is refused whole: its sound lines must come along, or it would be made without their sizes."""
        table = f"{HEADER}\nA,Good,t-shirt,cm,garment,M,102,70,\nB,Tee,t-shirt,cm,garment,S,96,68,\nB,,,,,M,wide,70,\n"
        left = refused_lines(table.encode(), read_garments(table.encode()).problems)
        assert left.splitlines() == [
            f"{HEADER},reason",
            "B,Tee,t-shirt,cm,garment,S,96,68,,",
            "B,,,,,M,wide,70,,'wide' is not a number.",
        ]
        mended = read_garments(left.replace("wide,", "102,").encode())
        assert [list(garment.lines) for garment in mended.garments] == [["S", "M"]]

    def test_again_has_one_column_of_reasons(self) -> None:
        table = f"{HEADER}\nB,Tee,t-shirt,cm,garment,M,wide,70,\nF,Short\n"
        for _ in range(2):
            left = refused_lines(table.encode(), read_garments(table.encode()).problems)
            table = left
        assert left.splitlines()[0] == f"{HEADER},reason"
        assert left.splitlines()[1] == "B,Tee,t-shirt,cm,garment,M,wide,70,,'wide' is not a number."

    @pytest.mark.parametrize("command", ["=1+1", "+1", "-1", "@SUM(A1)", " =1+1"])
    def test_nothing_in_it_is_a_formula(self, command: str) -> None:
        """Not in a cell, and not where a reason repeats one."""
        table = f"external_id,name,category,size,chest\nA,{command},t-shirt,{command},wide\nA,,,{command},96\n"
        left = refused_lines(table.encode(), read_garments(table.encode()).problems)
        cells = [cell for line in csv.reader(left.splitlines()) for cell in line]
        assert any(command.strip() in cell for cell in cells)
        assert not any(cell.strip().startswith(("=", "+", "-", "@")) for cell in cells)

    def test_a_name_like_a_formula_comes_back_as_it_was(self) -> None:
        table = "external_id,name,category,size,chest\nA,-Tee-,t-shirt,M,wide\n"
        left = refused_lines(table.encode(), read_garments(table.encode()).problems)
        assert read_garments(left.replace("wide,", "102,").encode()).garments[0].body["name"] == "-Tee-"

    def test_lines_are_counted_as_they_were_read(self) -> None:
        """A quoted cell may hold a line break; other characters break lines for some programs and not for us."""
        table = 'external_id,name,category,size,chest\nA,"Two\nlines",t-shirt,M,102\nB,Sep\u2028arated,t-shirt,M,wide\n'
        left = refused_lines(table.encode(), read_garments(table.encode()).problems)
        assert "B,Sep\u2028arated,t-shirt,M,wide,'wide' is not a number.\n" in left
        assert "Two" not in left


class TestCommand:
    @pytest.fixture
    def run(
        self, settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> Callable[..., tuple[int, str, str]]:
        def go(*typed: str) -> tuple[int, str, str]:
            with pytest.raises(SystemExit) as ended:
                main(list(typed))
            said = capsys.readouterr()
            return int(ended.value.code or 0), said.out, said.err

        monkeypatch.setenv("DATABASE_URL", settings.database_url)
        monkeypatch.setenv("DATA_DIR", str(settings.data_dir))
        monkeypatch.setenv("TOKEN_SIGNING_KEY", settings.token_signing_key)
        monkeypatch.setenv("STORAGE_SIGNING_KEY", settings.storage_signing_key)
        return go

    def test_it_makes_garments_and_names_lines(
        self, run: Callable[..., tuple[int, str, str]], settings: Settings, tmp_path: Path
    ) -> None:
        _, made, _ = run("brands", "create", "Atelier Nord")
        file = tmp_path / "garments.csv"
        file.write_text(tees(2) + "X,Wide,t-shirt,cm,garment,M,wide,70,\n")
        code, out, err = run("garments", "import", str(file))
        view = json.loads(out)
        assert (code, view["made"], view["failed"]) == (1, 2, 1)
        assert "3 of 3 garments, 1 refused" in err
        assert "garments.csv: line 6, chest: 'wide' is not a number. [not_a_number]" in err
        left = (tmp_path / "garments.failed.csv").read_text().splitlines()
        assert left == [f"{HEADER},reason", "X,Wide,t-shirt,cm,garment,M,wide,70,,'wide' is not a number."]
        file.write_text(tees(2))
        code, out, _ = run("garments", "import", str(file), "--brand", json.loads(made)["brand_id"])
        assert (code, json.loads(out)["unchanged"]) == (0, 2)

    def test_bad_input_is_one_line(self, run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
        run("brands", "create", "One")
        file = tmp_path / "garments.csv"
        file.write_text("a,b\n")
        for typed, said in (
            ([str(tmp_path / "none.csv")], "cannot read"),
            ([str(file)], "external_id"),
        ):
            code, out, err = run("garments", "import", *typed)
            assert (code, out) == (2, "")
            assert said in err.splitlines()[-1]
        file.write_text(tees(1))
        run("brands", "create", "Two")
        assert "--brand" in run("garments", "import", str(file))[2]
        assert "no brand" in run("garments", "import", str(file), "--brand", "x")[2]
