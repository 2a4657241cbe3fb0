"""When mere time changes what an expression is: a window that an event leaves, a date that passes.

The moments are steps themselves, so that both readings find them as they find every other value.
"""

from __future__ import annotations

from collections.abc import Iterator

from profiles.language.errors import LanguageError
from profiles.language.resolve import Constant, Operation, Step, Tally, Turn, children
from profiles.language.values import INSTANT, Type

_COMPARISONS = frozenset(
    f"{word}_time" for word in ("equal", "unequal", "less", "at_most", "more", "at_least")
)
NEVER = Constant(Type.TIME, None)
_OPPOSITE = {"add_time": "subtract_time", "subtract_time": "add_time"}


def next_change(step: Step) -> Step:
    """The first moment after now at which time alone can change the value of `step`; missing: never.

    Until then the value stays, whatever the clock shows. Raises LanguageError when that moment cannot be told.
    """
    found = tuple(dict.fromkeys(_moments(step)))
    return Operation("min_time", Type.TIME, found) if found else NEVER


def _moments(step: Step) -> Iterator[Step]:
    match step:
        case Operation(name="within", args=(moment, length)) if not _depends_on_time(step.args):
            yield _in_future(moment)
            yield _in_future(_moved("add_time", _moved("add_time", moment, length), _INSTANT))
        case Operation(name=name, args=(left, right)) if name in _COMPARISONS:
            if not _depends_on_time(step.args):
                return
            passed = _passed(left, right) or _passed(right, left)
            if passed is None:
                raise _cannot_tell()
            yield _in_future(passed)
            yield _in_future(_moved("add_time", passed, _INSTANT))
        case Operation(name="now" | "within"):
            raise _cannot_tell()
        case Tally():
            if _depends_on_time(children(step)):
                raise LanguageError(
                    "A condition or value inside count or sum depends on the time at which the rule is evaluated.",
                    "Give count or sum a duration instead, and compare with fixed dates inside.",
                )
            if step.window is not None:
                yield Turn(step)
        case _:
            for child in children(step):
                yield from _moments(child)


_INSTANT = Constant(Type.DURATION, INSTANT)


def _passed(clock: Step, other: Step) -> Step | None:
    """When `clock`, which is now or now moved by a fixed duration, passes `other`; None when it is no such clock."""
    if _depends_on_time((other,)):
        return None
    match clock:
        case Operation(name="now"):
            return other
        case Operation(name="add_time" | "subtract_time" as name, args=(Operation(name="now"), by)):
            return None if _depends_on_time((by,)) else _moved(_OPPOSITE[name], other, by)
    return None


def _depends_on_time(steps: tuple[Step, ...]) -> bool:
    return any(
        (isinstance(step, Operation) and step.name in ("now", "within"))
        or (isinstance(step, Tally) and step.window is not None)
        or _depends_on_time(children(step))
        for step in steps
    )


def _moved(operation: str, moment: Step, by: Step) -> Step:
    return Operation(operation, Type.TIME, (moment, by))


def _in_future(moment: Step) -> Step:
    return Operation("in_future", Type.TIME, (moment,))


def _cannot_tell() -> LanguageError:
    return LanguageError(
        "It cannot be told at which moment time alone changes the answer.",
        'Compare now(), or now() - duration("7d"), with a time, or use within, count or sum.',
    )
