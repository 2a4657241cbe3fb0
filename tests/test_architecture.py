"""The floors of the house: a room looks down, never up or sideways, and into nobody's private modules."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# What each room may import, from the ground up. `ajo` is the wiring and may import every room.
BELOW: dict[str, set[str]] = {
    "ajo.lib": set(),
    "ajo.runtime": set(),
    "ajo.core": {"ajo.lib"},
    "profiles": {"ajo.lib", "ajo.core"},
    "offers": {"ajo.lib", "ajo.core", "profiles"},
    "channels": {"ajo.lib", "ajo.core", "profiles", "offers"},
    "journeys": {"ajo.lib", "ajo.core", "profiles", "offers", "channels"},
    "campaigns": {"ajo.lib", "ajo.core", "profiles", "offers", "channels"},
}
ROOMS = {"ajo", *BELOW}
# Modules that speak to a door or to the queue belong to their own room alone.
PRIVATE_MODULES = {"api", "views", "admin", "tasks", "management"}
# Modules that know neither the database nor Django, so that they can be read and tested alone.
PURE = [
    "ajo/lib/ids.py",
    "ajo/lib/registry.py",
    "ajo/lib/claiming.py",
    "ajo/lib/smtp.py",
    "ajo/lib/signing.py",
    "ajo/lib/standard_webhooks.py",
    "ajo/lib/http.py",
    "channels/inbound/keywords.py",
    "channels/mailing_files.py",
    "channels/tracking/machines.py",
    "ajo/runtime",
    "profiles/identity.py",
    "profiles/attributes.py",
    "profiles/ingest/clock.py",
    "profiles/ingest/json_shape.py",
    "journeys/moments.py",
    "profiles/language",
    "channels/protection.py",
    "channels/mjml.py",
    "channels/html.py",
    "channels/checklist.py",
    "profiles/stream/resolve.py",
    "profiles/rollup.py",
    "offers/ranking.py",
]


def room_of(module: str) -> str | None:
    """The longest room name that `module` lies in; None for other people's modules."""
    found = [room for room in ROOMS if module == room or module.startswith(f"{room}.")]
    return max(found, key=len, default=None)


def sources() -> list[Path]:
    folders = {room.split(".")[0] for room in ROOMS}
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted(path for path in files if "migrations" not in path.parts)


def imports(path: Path) -> set[str]:
    """Every module that the file names in an import, also inside functions; for `from a import b` both a and a.b."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", sources(), ids=module_name)
def test_a_room_imports_only_what_lies_below(path: Path) -> None:
    here = room_of(module_name(path))
    assert here is not None
    if here == "ajo":
        return
    strangers = {
        name for name in imports(path) if (room := room_of(name)) and room != here and room not in BELOW[here]
    }
    assert not strangers, f"{module_name(path)} lies in {here} and may import only {sorted(BELOW[here])}."


@pytest.mark.parametrize("path", sources(), ids=module_name)
def test_nobody_imports_another_rooms_private_modules(path: Path) -> None:
    here = room_of(module_name(path))
    if here == "ajo":
        return
    seen = set()
    for name in imports(path):
        if (room := room_of(name)) and room != here:
            inside = name.removeprefix(room).strip(".").split(".")
            if inside[0] in PRIVATE_MODULES or any(part.startswith("_") for part in inside):
                seen.add(name)
    assert not seen


@pytest.mark.parametrize("place", PURE)
def test_pure_modules_know_no_django_and_no_database(place: str) -> None:
    path = ROOT / place
    for file in path.rglob("*.py") if path.is_dir() else [path]:
        named = {name.split(".")[0] for name in imports(file)}
        assert "django" not in named, file
        assert "psycopg" not in named or "runtime" in place, file


def test_relative_imports_are_not_used() -> None:
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path
