from __future__ import annotations

import pytest

from ajo.lib.registry import RegistrationError, Registry, UnknownKind


class Shape:
    kind = ""
    label = ""


@pytest.fixture
def shapes() -> Registry[Shape]:
    return Registry("shape", Shape)


def test_a_registered_kind_is_found_and_listed(shapes: Registry[Shape]) -> None:
    @shapes.register
    class Circle(Shape):
        kind, label = "circle", "Circle"

    assert shapes.get("circle") is Circle
    assert "circle" in shapes
    assert list(shapes) == [Circle]
    assert shapes.choices() == [("circle", "Circle")]


def test_a_foreign_class_is_refused(shapes: Registry[Shape]) -> None:
    with pytest.raises(RegistrationError, match="not a subclass of Shape"):
        shapes.register(int)  # type: ignore[arg-type]


def test_a_class_without_a_label_is_refused(shapes: Registry[Shape]) -> None:
    with pytest.raises(RegistrationError, match="lacks `label`"):
        shapes.register(type("Bare", (Shape,), {"kind": "bare"}))


def test_a_taken_kind_is_refused_and_the_first_one_stays(shapes: Registry[Shape]) -> None:
    first = shapes.register(type("First", (Shape,), {"kind": "dot", "label": "Dot"}))
    with pytest.raises(RegistrationError, match="'dot' is taken"):
        shapes.register(type("Second", (Shape,), {"kind": "dot", "label": "Dot"}))
    assert shapes.get("dot") is first


def test_an_unknown_kind_is_answered_with_the_known_ones(shapes: Registry[Shape]) -> None:
    shapes.register(type("Square", (Shape,), {"kind": "square", "label": "Square"}))
    with pytest.raises(UnknownKind, match="Known kinds: square"):
        shapes.get("round")
