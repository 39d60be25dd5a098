"""The processes that render: recycled, killed when they hang, and each other's equals."""

from __future__ import annotations

import os
import textwrap
import threading
import time
from pathlib import Path

import pytest

from billing.invoices.pdf import processes, render, worker
from tests.unit.billing.invoices.documents import view


def test_processes_are_recycled() -> None:
    with processes.Renderer(processes=1, recycle_after=2) as renderer:
        seen = []
        for _ in range(4):
            renderer.render(view(1))
            seen.append(renderer.pids())
        assert seen[0] != []
        assert seen[1] == []  # gone after its second document
        assert seen[2] != seen[0]
    assert renderer.pids() == []
    with pytest.raises(processes.RenderError):
        renderer.render(view(1))


SICK = """
    import os, sys, time
    sys.path.insert(0, {folder!r})
    import worker
    real = worker.compile_job
    def compile_job(job):
        if b'"number": "13"' in job:
            time.sleep(60)
        if b'"number": "14"' in job:
            os._exit(3)
        if b'"number": "15"' in job:
            raise ValueError("the text `Kari Nordmann` is odd")
        return real(job)
    worker.compile_job = compile_job
    worker.main(int(sys.argv[1]), int(sys.argv[2]))
"""


@pytest.fixture
def sick(tmp_path: Path) -> Path:
    """A worker that hangs at document 13, dies at 14 and fails at 15."""
    file = tmp_path / "sick.py"
    folder = str(Path(worker.__file__).parent)
    file.write_text(textwrap.dedent(SICK).format(folder=folder), encoding="utf-8")
    return file


def test_a_process_that_hangs_is_killed_and_replaced(sick: Path) -> None:
    with processes.Renderer(processes=1, timeout_seconds=2, worker=sick) as renderer:
        assert renderer.render(view(1)).startswith(b"%PDF")
        [before] = renderer.pids()
        started = time.monotonic()
        with pytest.raises(processes.RenderTimeoutError, match="document 13"):
            renderer.render(view(1, number=13))
        assert time.monotonic() - started < 10
        with pytest.raises(ProcessLookupError):
            os.kill(before, 0)
        assert renderer.render(view(1)).startswith(b"%PDF")
        assert renderer.pids() != [before]


def test_a_process_that_dies_or_fails_costs_only_its_document(sick: Path) -> None:
    with processes.Renderer(processes=2, timeout_seconds=20, worker=sick) as renderer:
        answers = list(renderer.render_all([view(1, number=n) for n in (11, 14, 12, 15, 16)]))
    kinds = [type(answer) for answer in answers]
    assert kinds == [bytes, processes.RenderError, bytes, processes.RenderError, bytes]
    assert "ValueError" in str(answers[3])
    assert "Nordmann" not in str(answers[3])
    assert answers[0] == render.render(view(1, number=11))


def test_threads_share_the_processes() -> None:
    expected = render.render(view(2))
    found: list[bytes] = []
    with processes.Renderer(processes=2) as renderer:
        threads = [threading.Thread(target=lambda: found.append(renderer.render(view(2)))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 1 <= len(renderer.pids()) <= 2
    assert found == [expected] * 6


def test_the_shared_renderer_survives_a_fork() -> None:
    try:
        expected = processes.shared().render(view(1))
        child = os.fork()
        if child == 0:  # as a gunicorn worker does after preloading; no assertion may leave this branch
            code = 1
            try:
                again = processes.shared().render(view(1)) == expected
                try:
                    render.render(view(1))  # would hang in typst
                except RuntimeError:
                    code = 0 if again else 2
                processes.close_shared()
            finally:
                os._exit(code)
        render_code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert render_code == 0
        assert processes.shared().render(view(1)) == expected
    finally:
        processes.close_shared()
