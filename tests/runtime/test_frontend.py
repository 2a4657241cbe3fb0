"""Building the browser interface: only what changed, and again after an interruption."""

from __future__ import annotations

from pathlib import Path

import pytest

from ajo.runtime import frontend


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The programs that were run, in a checkout of its own; each makes its folder, as npm and vite do."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "canvas.tsx").write_text("one")
    (tmp_path / "package-lock.json").write_text("{}")
    monkeypatch.setattr(frontend, "STATIC", tmp_path)
    monkeypatch.setattr(frontend, "LOCK", tmp_path / "package-lock.json")
    monkeypatch.setattr(frontend, "MODULES", tmp_path / "node_modules")
    monkeypatch.setattr(frontend, "DIST", tmp_path / "dist")
    commands: list[str] = []

    def run(*command: str) -> int:
        commands.append(command[1])
        (frontend.MODULES if command[1] == "ci" else frontend.DIST).mkdir(exist_ok=True)
        return 0

    monkeypatch.setattr(frontend, "_run", run)
    return commands


def test_nothing_is_done_twice(ran: list[str]) -> None:
    assert frontend.main() == 0
    assert frontend.main() == 0
    assert ran == ["ci", "run"]


def test_a_changed_source_is_built_and_a_changed_lock_installed(ran: list[str]) -> None:
    frontend.main()
    (frontend.STATIC / "src" / "canvas.tsx").write_text("two")
    frontend.main()
    assert ran == ["ci", "run", "run"]
    frontend.LOCK.write_text('{"lockfileVersion": 3}')
    frontend.main()
    assert ran == ["ci", "run", "run", "ci", "run"]


def test_what_failed_is_done_again(ran: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    works = frontend._run
    monkeypatch.setattr(frontend, "_run", lambda *command: works(*command) or 3)
    assert frontend.main() == 3
    monkeypatch.setattr(frontend, "_run", works)
    assert frontend.main() == 0
    assert ran == ["ci", "ci", "run"]
