"""Every way in is measured on a very small world, whose figures say nothing: that what is measured is what happens.

A sample of the large ones is run by ``make bench-large SCALE=0.01``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from benchmarks.frame import Place, found
from tests.databases import SERVER

SCALE = 0.002
NAMES = {
    "ingest_file": ("ingest_file", "ingest_replay", "ingest_again"),
    "ingest_two": ("ingest_two",),
    "ingest_xml": ("ingest_xml",),
    "ingest_http": ("ingest_http",),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A small world on the tests' server, filled once."""
    place = Place(os.environ[SERVER], tmp_path_factory.mktemp("bench"), SCALE)
    yield place
    place.forget()


@pytest.mark.parametrize("name", NAMES)
def test_it_measures_what_it_says(place: Place, name: str) -> None:
    benches, _, also = found()
    results = benches[name](place)
    assert tuple(one.name for one in results) == NAMES[name]
    assert {also.get(one.name, one.name) for one in results} <= {name, *NAMES[name]}
    assert all(one.rate > 0 for one in results)
    assert all(one.ratio is None or one.ratio > 0 for one in results)
