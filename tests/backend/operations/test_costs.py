"""What an attempt costs, in figures worked out by hand; and the report over many of them."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from backend.core.quantile import quantile
from backend.operations.cost_report import Spent, compare, make_report, to_csv, to_text
from backend.operations.costs import Price, Usage, cost_microusd, idle_ms, microusd_per_s, price_at

DAY = datetime(2026, 11, 1, tzinfo=UTC)
CHEAP = Price("AMPERE_24", None, 190, DAY)


@pytest.mark.parametrize(
    ("exec_s", "cold_s", "idle_s", "usd"),
    [
        (30, 0, 0, 0.0057),
        (30, 15, 5, 0.0095),
        (1, 0, 0, 0.00019),
        (1, 15, 5, 0.00399),
        (0.2, 0, 0, 0.00019),  # a second begun is a second paid
        (1.001, 0, 0, 0.00038),
    ],
)
def test_an_attempt_costs_its_seconds(exec_s: float, cold_s: float, idle_s: float, usd: float) -> None:
    usage = Usage(round(exec_s * 1000), round(cold_s * 1000), round(idle_s * 1000))
    assert cost_microusd(CHEAP, usage) == round(usd * 1e6)


def test_a_list_price_by_the_hour_becomes_whole_micro_dollars_by_the_second() -> None:
    assert microusd_per_s(0.684) == 190


class TestPrice:
    prices = (
        Price("AMPERE_24", None, 190, DAY),
        Price("AMPERE_24", None, 200, DAY + timedelta(days=10)),
        Price("AMPERE_24", "NVIDIA RTX 3090", 150, DAY + timedelta(days=5)),
        Price("ADA_24", None, 310, DAY),
    )

    @pytest.mark.parametrize(
        ("pool", "card", "day", "price"),
        [
            ("AMPERE_24", None, 0, 190),
            ("AMPERE_24", "NVIDIA L4", 9, 190),
            ("AMPERE_24", "NVIDIA L4", 10, 200),
            ("AMPERE_24", "NVIDIA RTX 3090", 4, 190),
            ("AMPERE_24", "NVIDIA RTX 3090", 20, 150),
            ("ADA_24", "NVIDIA RTX 3090", 20, 310),
            ("ADA_24", None, -1, None),
            ("own", None, 0, None),
        ],
    )
    def test_it_is_the_cards_own_at_that_time_else_the_pools_else_unknown(
        self, pool: str, card: str | None, day: int, price: int | None
    ) -> None:
        found = price_at(list(self.prices), pool, card, DAY + timedelta(days=day))
        assert (found.microusd_per_s if found else None) == price


@pytest.mark.parametrize(("gap_s", "idle_s"), [(2, 2), (60, 5), (-3, 0), (None, 5)])
def test_a_worker_is_idle_until_its_next_job_or_until_it_is_shut_down(gap_s: float | None, idle_s: float) -> None:
    following = None if gap_s is None else DAY + timedelta(seconds=gap_s)
    assert idle_ms(DAY, following, timedelta(seconds=5)) == idle_s * 1000


def spent(**facts: object) -> Spent:
    row: dict[str, object] = {
        "kind": "avatar",
        "brand_id": "b1",
        "job_id": "j1",
        "provider": "runpod",
        "gpu_name": "NVIDIA L4",
        "is_success": True,
        "delay_ms": 1000,
        "exec_ms": 2000,
        "cold_ms": 0,
        "idle_ms": 0,
        "microusd_per_s": 190,
        "cost_microusd": 380,
    }
    return Spent(**(row | facts))  # type: ignore[arg-type]


MIXED = (
    spent(job_id="j1", is_success=False, cost_microusd=190, exec_ms=1000),
    spent(job_id="j1", cold_ms=4000, cost_microusd=1140),
    spent(job_id="j2", idle_ms=2000, cost_microusd=760, delay_ms=9000),
    spent(job_id="j3", kind="dress", brand_id="b2", gpu_name=None, microusd_per_s=None, cost_microusd=None),
)


class TestReport:
    report = make_report(MIXED, DAY, DAY + timedelta(days=1), hits={"avatar": 3, "noop": 0}, pod_usd_per_hour=None)

    def test_a_success_pays_for_the_failures_before_it(self) -> None:
        avatar = self.report.by_kind[0]
        assert (avatar.name, avatar.jobs, avatar.attempts, avatar.failed_attempts, avatar.cache_hits) == (
            "avatar", 2, 3, 1, 3,
        )  # fmt: skip
        assert avatar.usd_per_success == pytest.approx((190 + 1140 + 760) / 1e6 / 2)
        assert self.report.usd_per_avatar == avatar.usd_per_success
        assert self.report.avatars_ready == 2

    def test_shares_say_where_the_money_went(self) -> None:
        avatar, total = self.report.by_kind[0], 190 + 1140 + 760
        assert avatar.waste_share == pytest.approx(190 / total)
        assert avatar.cold_share == pytest.approx(4 * 190 / total)
        assert avatar.idle_share == pytest.approx(2 * 190 / total)

    def test_without_a_price_there_is_no_cost_rather_than_none_to_pay(self) -> None:
        dress = next(line for line in self.report.by_kind if line.name == "dress")
        assert (dress.cost_usd, dress.usd_per_success, dress.unpriced_attempts) == (None, None, 1)

    def test_a_machine_of_ones_own_needs_no_price(self) -> None:
        own = spent(microusd_per_s=None, cost_microusd=None, is_paid=False)
        report = make_report([own], DAY, DAY + timedelta(days=1), hits={}, pod_usd_per_hour=None)
        assert (report.by_kind[0].cost_usd, report.by_kind[0].unpriced_attempts) == (None, 0)

    def test_waiting_counts_every_attempt_and_running_only_those_that_brought_something(self) -> None:
        avatar = self.report.by_kind[0]
        assert (avatar.queue_p50_s, avatar.queue_p95_s, avatar.exec_p95_s) == (1.0, 9.0, 2.0)

    def test_it_is_the_same_as_table_and_csv(self) -> None:
        rows = list(csv.DictReader(io.StringIO(to_csv(self.report))))
        assert {(row["group"], row["name"]) for row in rows} >= {
            ("kind", "avatar"),
            ("brand", "b2"),
            ("gpu", "unknown"),
        }
        row = next(row for row in rows if (row["group"], row["name"]) == ("kind", "avatar"))
        assert float(row["cost_usd"]) == pytest.approx(0.00209)
        assert "0.0021" in to_text(self.report)

    def test_a_card_that_looks_like_a_formula_is_a_text_in_the_csv(self) -> None:
        report = make_report([spent(gpu_name="=cmd()")], DAY, DAY + timedelta(days=1), hits={}, pod_usd_per_hour=None)
        assert "'=cmd()" in to_csv(report)

    def test_nothing_is_a_report_too(self) -> None:
        empty = make_report([], DAY, DAY + timedelta(days=1), hits={}, pod_usd_per_hour=0.44)
        assert empty.comparison is None
        assert "nothing yet" in to_text(empty)


class TestAgainstAMachineOfOnesOwn:
    def test_the_break_even_is_the_quotient_of_the_prices(self) -> None:
        """An A40 at 1.224 $/h serverless and 0.44 $/h as a machine: 36 %, and 80 % saved only below 7.2 %."""
        hour = [spent(exec_ms=3_600_000, microusd_per_s=340, cost_microusd=1_224_000)]
        told = compare(hour, DAY, DAY + timedelta(hours=10), 0.44)
        assert told is not None
        assert told.busy_share == pytest.approx(0.1)
        assert told.break_even_share == pytest.approx(0.3595, abs=1e-3)
        assert told.saves_80_percent_below == pytest.approx(0.0719, abs=1e-3)
        assert told.serverless_usd == pytest.approx(1.224)
        assert told.pod_usd == pytest.approx(4.4)
        assert told.cheaper == "serverless"

    def test_a_busy_month_is_cheaper_on_a_machine_and_needs_as_many_as_are_busy(self) -> None:
        two_hours = [spent(exec_ms=7_200_000, microusd_per_s=340, cost_microusd=2_448_000)]
        told = compare(two_hours, DAY, DAY + timedelta(hours=1.5), 0.44)
        assert told is not None
        assert told.pod_usd == pytest.approx(0.44 * 1.5 * 2)
        assert told.cheaper == "pod"


def test_a_quantile_is_a_value_that_occurred() -> None:
    assert quantile([], 0.5) is None
    assert quantile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.0
    assert quantile([4.0, 1.0, 3.0, 2.0], 0.95) == 4.0
