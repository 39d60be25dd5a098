"""The house keeps its shape: imports run downward only, one module reads the clock, files and functions stay short."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from billing.schedule import SCHEDULE
from config import occurrences

ROOT = Path(__file__).resolve().parents[2]
ALL_PRODUCT = ("app.py", "commands", "web", "billing", "accounts", "config", "migrations")
OUTSIDE = ("simulator", "benchmarks", "tests")

# From the top of the house to its ground. A module may import what stands on a later line, or itself's room.
# Two names on one line do not know each other.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("app",),
    ("commands",),
    ("web",),
    ("migrations",),
    ("billing.schedule", "billing.audit"),
    ("billing.roadside", "billing.collection"),
    ("billing.payments",),
    ("billing.delivery",),
    ("billing.cards",),
    ("billing.invoices",),
    ("billing.claims",),
    ("billing.passages",),
    ("billing.ledger",),
    ("accounts.customers",),
    ("accounts.agreements",),
    ("accounts.vehicles",),
    ("accounts.chargers",),
    ("accounts.access",),
    ("config",),
)
# Arrows that run upward and may: each with its reason.
ALLOWED = {
    ("commands.processes", "app"): "each gunicorn process makes its own application, after the fork",
}

FILE_LINES, TEST_FILE_LINES, FUNCTION_LINES = 400, 600, 50
# Longer than the rule, each with the reason why it is not split.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {
    f"migrations/versions/{name}.py::upgrade": "a list of tables, generated and then frozen"
    for name in ("0002_accounts", "0003_passages", "0004_claims", "0005_cards", "0006_delivery_and_payments")
}

CLOCK_CALLS = {
    ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
    ("time", "time"), ("time", "time_ns"), ("time", "localtime"), ("time", "gmtime"),
    ("func", "now"), ("func", "current_timestamp"), ("func", "clock_timestamp"), ("func", "current_date"),
    ("func", "localtimestamp"), ("func", "statement_timestamp"), ("func", "transaction_timestamp"),
}  # fmt: skip
SQL_CLOCK = re.compile(
    r"\b(now|clock_timestamp|statement_timestamp|transaction_timestamp)\s*\(\s*\)"
    r"|\b(CURRENT_TIMESTAMP|CURRENT_DATE|LOCALTIMESTAMP|CURRENT_TIME|LOCALTIME)\b",
    re.IGNORECASE,
)
SQL_WORDS = re.compile(
    r"\b(SELECT|INSERT|UPDATE|DELETE|WHERE|DEFAULT|VALUES|COALESCE)\b|^\s*now\(\)\s*$", re.IGNORECASE
)


def sources(*places: str) -> Iterator[Path]:
    for place in places:
        path = ROOT / place
        yield from [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST, module: str, *, package: bool) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of everything imported, wherever it stands: also inside functions and under
    TYPE_CHECKING, and modules named as text for importlib."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")[: None if package and node.level == 1 else -(node.level - package)]
                base = ".".join([*above, base]).strip(".")
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield node.lineno, first.value


def floor_of(name: str) -> tuple[int, str] | None:
    """Return the number of the floor and the room a dotted name belongs to; None outside the house."""
    for number, rooms in enumerate(FLOORS):
        for room in rooms:
            if name == room or name.startswith(room + "."):
                return number, room
    return None


def upward(module: str, source: str, *, package: bool = False) -> list[str]:
    """Return what a module imports from above it, or from the room beside it."""
    here = floor_of(module)
    found = []
    for line, name in imports(ast.parse(source), module, package=package):
        top = name.split(".")[0]
        if top in OUTSIDE:
            found.append(f"{module}:{line} imports {name}, which stands outside the product")
        there = floor_of(name)
        if here is None or there is None or there[1] == here[1]:
            continue
        if there[0] <= here[0] and (module, name.split(".")[0]) not in ALLOWED:
            found.append(f"{module}:{line} imports {name}: that runs upward")
    return found


def clock_readings(source: str) -> list[str]:
    """Return the lines that read the wall clock, in Python or in SQL."""
    found = []
    tree = ast.parse(source)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value).split(".")[-1]
            if (owner, node.attr) in CLOCK_CALLS:
                found.append(f"{node.lineno} {owner}.{node.attr}")
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            found += [f"{node.lineno} from time import {a.name}" for a in node.names if ("time", a.name) in CLOCK_CALLS]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            match = SQL_CLOCK.search(node.value) if SQL_WORDS.search(node.value) else None
            found += [f"{node.lineno} SQL {match.group()}"] if match else []
    return found


def test_the_floors_name_every_room() -> None:
    missing = [
        module_of(path)
        for path in sources(*ALL_PRODUCT)
        if floor_of(module_of(path)) is None and module_of(path) not in {"billing", "accounts"}
    ]
    assert missing == []


@pytest.mark.parametrize("place", ALL_PRODUCT)
def test_imports_run_downward_only(place: str) -> None:
    found = [
        line
        for path in sources(place)
        for line in upward(module_of(path), path.read_text(), package=path.name == "__init__.py")
    ]
    assert found == []


def test_the_simulator_imports_nothing_of_the_product() -> None:
    product = {name.split(".")[0] for floor in FLOORS for name in floor}
    found = [
        f"{module_of(path)}:{line} imports {name}"
        for path in sources("simulator")
        for line, name in imports(ast.parse(path.read_text()), module_of(path), package=path.name == "__init__.py")
        if name.split(".")[0] in product
    ]
    assert found == []


def test_only_the_clock_reads_the_clock() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sources(*ALL_PRODUCT)
        if module_of(path) != "config.clock"
        for line in clock_readings(path.read_text())
    ]
    assert found == []


def test_files_and_functions_stay_short() -> None:
    found = []
    for path in sources(*ALL_PRODUCT, *OUTSIDE):
        name, text = str(path.relative_to(ROOT)), path.read_text()
        lines = text.count("\n")
        if lines > (TEST_FILE_LINES if name.startswith("tests/") else FILE_LINES) and name not in LONG_FILES:
            found.append(f"{name}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES and f"{name}::{node.name}" not in LONG_FUNCTIONS:
                    found.append(f"{name}:{node.lineno} {node.name}: {length} lines")
    assert found == []


def test_what_runs_needs_only_what_is_locked_for_it() -> None:
    """`make run`, `make demo` and `make bench` install requirements/app.txt and nothing more."""
    locked = set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==", (ROOT / "requirements/app.txt").read_text(), re.MULTILINE))
    own = {"app", "commands", "web", "billing", "accounts", "config", "migrations", "simulator", "benchmarks"}
    known = importlib.metadata.packages_distributions()
    found = set()
    for path in sources(*ALL_PRODUCT, "simulator", "benchmarks"):
        for _line, name in imports(ast.parse(path.read_text()), module_of(path), package=path.name == "__init__.py"):
            top = name.split(".")[0]
            if top in own or top in sys.stdlib_module_names or top == "_typeshed":
                continue
            if not any(dist.lower().replace("_", "-") in locked for dist in known.get(top, [])):
                found.add(f"{path.relative_to(ROOT)} needs {top}")
    assert sorted(found) == []


@pytest.mark.parametrize("job", SCHEDULE, ids=lambda job: job.name)
def test_every_job_of_the_schedule_can_be_run(job: object) -> None:
    from config.jobs import Job

    assert isinstance(job, Job)
    assert callable(job.function())
    if job.when:
        occurrences.check(job.when)


class TestPlantedViolations:
    """What the rules above would say of code that breaks them."""

    @pytest.mark.parametrize(
        ("module", "source"),
        [
            ("config.money", "import billing.ledger.book"),
            ("accounts.access.tokens", "from accounts import customers"),
            ("billing.ledger.book", "def f():\n    from billing.passages.models import Passage"),
            ("billing.passages.match", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import web.mypage"),
            ("billing.roadside.ingest", "from billing.collection import overdue"),
            ("billing.collection.remind", "import billing.roadside"),
            ("billing.claims.make", "from ..invoices import models"),
            ("billing.cards.charge", "import importlib\nimportlib.import_module('billing.payments.match')"),
            ("web.mypage.pages", "import app"),
            ("billing.cards.charge", "from simulator.gateway import server"),
            ("accounts.vehicles.remove", "from tests import conftest"),
        ],
    )
    def test_an_arrow_upward(self, module: str, source: str) -> None:
        assert len(upward(module, source)) == 1

    @pytest.mark.parametrize(
        ("module", "source"),
        [
            ("billing.cards.charge", "from billing.claims import make\nfrom . import rules\nimport config.money"),
            ("billing.cards", "from .charge import charge\nfrom . import rules"),
            ("web.mypage.pages", "from billing.roadside import ingest\nfrom accounts.customers import tell"),
            ("accounts.customers.keep", "from accounts.access.models import TrailEntry"),
        ],
    )
    def test_arrows_downward_are_fine(self, module: str, source: str) -> None:
        assert upward(module, source, package=module == "billing.cards") == []

    @pytest.mark.parametrize(
        "source",
        [
            "import datetime as dt\ndt.datetime.now(dt.UTC)",
            "from datetime import date\ndate.today()",
            "import time\ntime.time()",
            "from time import time",
            "from sqlalchemy import func\nfunc.now()",
            "f('SELECT * FROM claims WHERE due_on < CURRENT_DATE')",
            "f('UPDATE claims SET at = now()')",
            "column(server_default='now()')",
            "default_factory = datetime.utcnow",
        ],
    )
    def test_a_look_at_the_clock(self, source: str) -> None:
        assert len(clock_readings(source)) == 1

    @pytest.mark.parametrize(
        "source",
        [
            "import time\ntime.monotonic()",
            '"""Never uses now() in SQL: SELECT now()."""',
            "clock.business_now(session)",
            "f('due now')",
        ],
    )
    def test_what_is_not_a_look_at_the_clock(self, source: str) -> None:
        assert clock_readings(source) == []
