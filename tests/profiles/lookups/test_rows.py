from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction

from profiles.lookups.columns import Row
from profiles.lookups.rows import Imported, ImportRefused, import_rows, read_rows, remove_rows, write_columns
from profiles.models import LookupRow
from tests.factories import NOW
from tests.journeys.races import is_blocked, start
from tests.profiles.lookups.tables import make_lookup, put
from tests.support import count_statements

pytestmark = pytest.mark.django_db


def test_rows_of_several_lookups_are_read_in_one_statement() -> None:
    make_lookup(A1={"title": "Sweater", "on_hand": "2.5"}, A2={"on_hand": 1})
    make_lookup("rides", {"state": "text"}, A1={"state": "closed"})
    asked = [("products", "A1"), ("rides", "A1"), ("products", "gone"), ("nothing", "A1"), ("products", "\0")]
    with count_statements() as seen:
        found = read_rows([*asked, *asked])
    assert found == {
        ("products", "A1"): {"title": "Sweater", "on_hand": Decimal("2.5")},
        ("rides", "A1"): {"state": "closed"},
    }
    assert len(seen) == 1
    with count_statements() as seen:
        assert read_rows([]) == {}
    assert not seen


def test_replacing_leaves_exactly_the_rows_of_the_import() -> None:
    lookup = make_lookup(A1={"title": "Old", "on_hand": 1}, A2={"title": "Same"}, A3={"title": "Gone"})
    assert put(lookup, {"A1": {"title": "New"}, "A2": {"title": "Same"}, "A4": {}}, "replace") == Imported(
        rows=3, added=1, changed=1, removed=1
    )
    assert dict(LookupRow.objects.values_list("key", "values")) == {
        "A1": {"title": "New"},
        "A2": {"title": "Same"},
        "A4": {},
    }


def test_merging_keeps_other_rows_and_the_columns_that_are_not_given() -> None:
    lookup = make_lookup(A1={"title": "Sweater", "on_hand": 1, "is_new": True}, A2={"title": "Hat"})
    other = make_lookup("rides", {"state": "text"}, A1={"state": "open"})
    assert put(lookup, {"A1": {"on_hand": 0, "is_new": ""}, "A3": {"title": None}}) == Imported(2, 1, 1, 0)
    assert put(lookup, {"A1": {"on_hand": "0"}}) == Imported(1, 0, 0, 0)
    assert dict(LookupRow.objects.filter(lookup=lookup).values_list("key", "values")) == {
        "A1": {"title": "Sweater", "on_hand": 0},
        "A2": {"title": "Hat"},
        "A3": {},
    }
    assert other.rows.get().values == {"state": "open"}


def test_one_wrong_row_and_nothing_is_imported() -> None:
    lookup = make_lookup(A1={"on_hand": 1})
    rows = [
        Row(2, "A1", {"on_hand": 5}),
        Row(3, "A2", {"on_hand": "x"}),
        Row(4, "A1", {"on_hand": 6}),
        *(Row(line, f"B{line}", {"on_hand": "x"}) for line in range(5, 205)),
    ]
    with pytest.raises(ImportRefused) as refused:
        import_rows(lookup, rows, mode="replace", now=NOW)
    assert refused.value.count == 202
    assert len(refused.value.problems) == 100
    assert str(refused.value.problems[1]) == (
        "Line 4: The key 'A1' stands in line 2 already. Take one of the two rows out."
    )
    assert list(lookup.rows.values_list("key", "values")) == [("A1", {"on_hand": 1})]
    assert put(lookup, {"A2": {}}).added == 1  # the failed one left nothing behind that is in the way


def test_the_number_of_statements_does_not_depend_on_the_rows() -> None:
    lookup = make_lookup()

    def statements(count: int) -> int:
        with count_statements() as seen:
            put(lookup, {f"K{number}": {"on_hand": number} for number in range(count)}, "replace")
        return len(seen)

    assert statements(2) == statements(3_000)


def test_when_rows_last_changed_is_told() -> None:
    lookup = make_lookup(A1={"on_hand": 1})
    assert lookup.changed_at == NOW
    later = NOW.replace(year=2027)
    import_rows(lookup, [Row(2, "A1", {"on_hand": 1})], mode="replace", now=later)
    assert remove_rows(lookup, ["gone"], now=later) == 0
    assert lookup.changed_at == NOW
    assert remove_rows(lookup, ["A1", "gone"], now=later) == 1
    assert lookup.changed_at == later
    assert not lookup.rows.exists()


def test_columns_can_be_declared_anew() -> None:
    lookup = make_lookup(A1={"on_hand": 1})
    with pytest.raises(ValidationError):
        write_columns(lookup, [{"name": "on hand", "type": "number"}], now=NOW)
    write_columns(lookup, [{"name": "size", "type": "text"}], now=NOW)
    with pytest.raises(ImportRefused):
        put(lookup, {"A1": {"on_hand": 2}})
    assert put(lookup, {"A1": {"size": "M"}}).changed == 1


@pytest.mark.django_db(transaction=True)
def test_a_second_import_of_the_lookup_waits_for_the_first() -> None:
    lookup = make_lookup()
    with ThreadPoolExecutor(1) as workers:
        with transaction.atomic():
            put(lookup, {"A1": {"on_hand": 1}}, "replace")
            second = start(workers, put, lookup, {"A2": {"on_hand": 2}}, "replace")
            assert is_blocked(second)
            assert read_rows([("products", "A1")])
        assert second.result(10) == Imported(rows=1, added=1, changed=0, removed=1)
    assert list(lookup.rows.values_list("key", flat=True)) == ["A2"]
