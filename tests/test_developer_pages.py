"""The examples of the developer pages: each is a file and its test, and both run as they stand there."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ajo.documentation import folder
from ajo.lib.registry import Registry
from channels.providers import registry as providers
from journeys.activities import registry as activities
from tests import test_registries

PAGES: list[tuple[str, Registry[Any]]] = [("add-an-activity", activities), ("add-a-provider", providers)]
_FENCE = re.compile(r"`([a-z_/]+)\.py`[^`]*```python\n(.*?)```", re.DOTALL)


def examples(page: str) -> dict[str, str]:
    """Dotted name of the module → its text, in the order of the page."""
    text = (folder() / f"{page}.md").read_text(encoding="utf-8")
    return {path.replace("/", "."): code for path, code in _FENCE.findall(text)}


def written_tests() -> list[tuple[str, str]]:
    return [
        (page, node.name)
        for page, _registry in PAGES
        for code in list(examples(page).values())[1:]
        for node in ast.parse(code).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], list[ModuleType]]:
    def run(page: str) -> list[ModuleType]:
        for _page, registry in PAGES:
            monkeypatch.setattr(registry, "_classes", dict(registry._classes))
        modules = []
        for name, code in examples(page).items():
            module = ModuleType(name)
            path = tmp_path / f"{name.rpartition('.')[2]}.py"
            path.write_text(code, encoding="utf-8")
            module.__file__ = str(path)
            monkeypatch.setitem(sys.modules, name, module)
            exec(compile(code, path, "exec", dont_inherit=True), module.__dict__)
            modules.append(module)
        return modules

    return run


@pytest.mark.parametrize("page", [page for page, _registry in PAGES])
def test_a_page_shows_one_file_and_its_test(page: str) -> None:
    source, test = examples(page)
    assert test.rpartition(".")[2] == f"test_{source.rpartition('.')[2]}"


@pytest.mark.django_db
@pytest.mark.parametrize(("page", "name"), written_tests())
def test_the_example_passes_its_own_tests(
    page: str, name: str, load: Callable[[str], list[ModuleType]], request: pytest.FixtureRequest
) -> None:
    _source, test = load(page)
    function = getattr(test, name)
    function(
        **{fixture: request.getfixturevalue(fixture) for fixture in inspect.signature(function).parameters}
    )


@pytest.mark.parametrize(("page", "registry"), PAGES)
def test_the_example_answers_the_questions_to_every_kind(
    page: str, registry: Registry[Any], load: Callable[[str], list[ModuleType]]
) -> None:
    known = set(registry._classes)
    load(page)
    (kind,) = set(registry._classes) - known
    cls = registry.get(kind)
    for ask in (
        test_registries.test_its_kind_is_a_key_and_names_its_file,
        test_registries.test_it_is_found_by_its_kind_and_offered_by_its_label,
        test_registries.test_its_words_are_for_people,
        test_registries.test_its_icon_is_the_name_of_a_symbol,
        test_registries.test_its_settings_survive_a_round_trip,
        test_registries.test_every_setting_has_a_label_and_a_default_that_it_accepts,
        test_registries.test_a_missing_setting_is_named,
        test_registries.test_its_form_asks_with_known_widgets_and_hides_by_fields_that_exist,
    ):
        ask(registry, cls)
