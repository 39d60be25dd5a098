"""The table of benchmarks: what is wanted, and what is not so; which there are; samples of the large ones."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks.frame import Place, Result, Wanted, apart, found, peak_mb, ratio, spaced
from benchmarks.history import MONTHS, _months


@pytest.mark.parametrize(
    ("result", "wanted", "missed"),
    [
        (Result("a", 10, "x/s", 20, 0.5), ratio(0.4), False),
        (Result("a", 10, "x/s", 20, 0.4), ratio(0.4), False),
        (Result("a", 10, "x/s", 20, 0.39), ratio(0.4), True),
        (Result("a", 10, "x/s"), ratio(0.4), False),
        (Result("a", 11_999, "x/s"), Wanted("rate", 12_000), True),
        (Result("a", 99, "ms"), Wanted("rate", 100, most=True), False),
        (Result("a", 101, "ms"), Wanted("rate", 100, most=True), True),
        (Result("a", 1, "x/s", peak_mb=301), Wanted("peak_mb", 300, most=True), True),
        (Result("a", 1, "x/s", ratio=1.31), Wanted("ratio", 1.3, most=True), True),
    ],
)
def test_what_is_missed_is_marked(result: Result, wanted: Wanted, missed: bool) -> None:
    marked = Result(**{**result.__dict__, "wanted": (wanted,)})
    assert bool(marked.missed) is missed
    assert ("!" in command.show(marked)) is missed
    assert str(wanted) in command.show(marked)


def test_one_miss_of_several_is_a_miss() -> None:
    result = Result("a", 20_000, "x/s", 40_000, 0.5, 400, "", (ratio(0.4), Wanted("peak_mb", 300, most=True)))
    assert [str(one) for one in result.missed] == ["≤ 300 MB"]


def test_what_is_kept_has_the_promised_names_alone() -> None:
    assert list(Result("a", 1, "x/s", note="n", wanted=(ratio(1),)).as_dict()) == [
        "name", "rate", "unit", "floor", "ratio", "peak_mb",
    ]  # fmt: skip


def test_a_sample_is_smaller_and_never_nothing() -> None:
    place = Place("postgresql://nowhere/x", Path("nowhere"), 0.01)
    assert (place.scaled(20_000_000), place.scaled(40), place.scaled(1, 300)) == (200_000, 1, 300)


def test_every_promised_name_is_measured_by_one() -> None:
    benches, large, also = found()
    assert {"ingest_file", "ingest_xml", "ingest_http", "ingest_two"} <= set(benches) - large
    assert {"ingest_replay", "ingest_again"} <= {name for name, by in also.items() if by == "ingest_file"}
    assert {"ingest_growth", "status_list"} <= large
    assert set(also.values()) <= set(benches)


def test_figures_are_written_as_one_reads_them() -> None:
    assert spaced(20_000_000) == "20 000 000"


def test_two_years_of_months_end_now_and_leave_no_gap() -> None:
    months = _months(240)
    assert len(months) == MONTHS
    assert all(one.ends == other.begins for one, other in itertools.pairwise(months))
    assert [month.first for month in months] == list(range(1, 241, 10))
    assert months[-1].begins <= months[-1].until <= months[-1].ends


def grown() -> float:
    """Return by how much a process's peak grows with what it holds (MB)."""
    before = peak_mb()
    held = bytearray(64 * 1024 * 1024)
    return peak_mb() - before if held else 0


def test_memory_is_this_process_own() -> None:
    """In one that has held nothing yet: of one that has had more than this, the peak stays."""
    with apart() as child:
        assert child.submit(grown).result() > 32


class TestTheCommand:
    """With benchmarks of its own and no server."""

    @pytest.fixture(autouse=True)
    def quiet(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        @contextmanager
        def nowhere() -> Iterator[tuple[str, str]]:
            yield "postgresql://nowhere/x", "nothing"

        monkeypatch.setattr(command, "_server", nowhere)
        monkeypatch.setattr(command, "ROOT", tmp_path)
        monkeypatch.setattr(
            command, "found", lambda: ({"small": lambda place: [], "big": lambda place: []}, {"big"}, {})
        )

    @pytest.fixture
    def measured(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
        seen: list[tuple[str, float]] = []

        def run(name: str, place: Place) -> list[Result]:
            seen.append((name, place.scale))
            return [Result(name, 1, "x/s", 10, 0.1, None, "", (ratio(0.4),))]

        @contextmanager
        def here() -> Iterator[Here]:
            yield Here()

        monkeypatch.setattr(command, "run", run)
        monkeypatch.setattr(command, "apart", here)
        return seen

    def test_a_miss_is_no_failure(
        self, measured: list[tuple[str, float]], capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        assert command.main([]) == 0
        said = capsys.readouterr().out
        assert measured == [("small", 1.0)]
        assert "! ≥ 0.40" in said
        assert "s in all; ! 1 not as wanted" in said
        assert json.loads((tmp_path / "var" / "bench.json").read_text())[0]["name"] == "small"

    def test_a_sample_leaves_the_figures_alone(self, measured: list[tuple[str, float]], tmp_path: Path) -> None:
        assert command.main(["--large", "--scale", "0.01"]) == 0
        assert measured == [("big", 0.01)]
        assert not (tmp_path / "var" / "bench.json").exists()

    def test_large_ones_keep_the_others_figures(self, measured: list[tuple[str, float]], tmp_path: Path) -> None:
        command.main([])
        command.main(["--large"])
        kept = json.loads((tmp_path / "var" / "bench.json").read_text())
        assert [row["name"] for row in kept] == ["small", "big"]

    def test_what_raises_fails(self, measured: list[tuple[str, float]], monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(name: str, place: Place) -> list[Result]:
            raise AssertionError("not all were booked")

        monkeypatch.setattr(command, "run", broken)
        with pytest.raises(AssertionError, match="not all"):
            command.main([])


class Here:
    """Runs what is submitted in this process."""

    def submit(self, act: object, *given: object) -> Here:
        self.value = act(*given)  # type: ignore[operator]  # a function
        return self

    def result(self) -> object:
        return self.value
