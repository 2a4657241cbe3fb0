from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import transaction

from profiles.lookups.codes import Added, Stock, UnusableCode, import_codes, remove_free, stock_of, take_codes
from profiles.models import TakenCode
from tests.factories import NOW
from tests.journeys.races import start
from tests.profiles.lookups.tables import make_pool
from tests.support import count_statements

pytestmark = pytest.mark.django_db
TAKERS = 16


def test_each_code_is_given_once_in_order_and_the_same_one_again() -> None:
    pool = make_pool("sorry", "A", "B", "C")
    assert take_codes("sorry", [(101, 1), (102, 2)], NOW) == {101: "A", 102: "B"}
    assert take_codes("sorry", [(102, 2), (103, 3), (101, 1)], NOW) == {101: "A", 102: "B", 103: "C"}
    assert list(TakenCode.objects.order_by("number").values_list("taken_by", "profile_id", "taken_at")) == [
        (101, 1, NOW),
        (102, 2, NOW),
        (103, 3, NOW),
    ]
    assert stock_of([pool]) == {pool.pk: Stock(taken=3, free=0)}


def test_an_empty_pool_gives_to_the_first_and_leaves_the_others_out() -> None:
    pool = make_pool("sorry", "A")
    assert take_codes("sorry", [(7, 1), (6, 2), (7, 1)], NOW) == {7: "A"}
    assert take_codes("unknown", [(7, 1)], NOW) == {}
    assert take_codes("sorry", [], NOW) == {}
    assert import_codes(pool, ["A", "B"]) == Added(added=1, repeated=1)
    assert take_codes("sorry", [(6, 2), (7, 1)], NOW) == {6: "B", 7: "A"}


def test_pools_know_nothing_of_each_other() -> None:
    make_pool("one", "A"), make_pool("two", "A")
    assert take_codes("one", [(1, 1)], NOW) == take_codes("two", [(1, 1)], NOW) == {1: "A"}


def test_repeated_codes_are_counted_and_keep_their_order() -> None:
    pool = make_pool()
    assert import_codes(pool, ["B\n", " A ", "", "B"]) == Added(added=2, repeated=1)
    assert import_codes(pool, ["C", "A"]) == Added(added=1, repeated=1)
    assert list(pool.codes.order_by("number").values_list("number", "code")) == [(1, "B"), (2, "A"), (3, "C")]


def test_one_unusable_code_and_none_is_added() -> None:
    pool = make_pool()
    with pytest.raises(UnusableCode, match="line 2"):
        import_codes(pool, ["A", "x" * 201])
    assert not pool.codes.exists()


def test_free_codes_are_taken_out_and_given_ones_stay() -> None:
    pool, other = make_pool("sorry", "A", "B", "C", "D"), make_pool("other", "B", "D")
    assert take_codes("sorry", [(1, 1)], NOW) == {1: "A"}
    assert remove_free(pool, [" B", "A", "X", ""]) == 1
    assert take_codes("sorry", [(2, 1)], NOW) == {2: "C"}
    assert remove_free(pool) == 1
    assert stock_of([pool, other]) == {pool.pk: Stock(taken=2, free=0), other.pk: Stock(taken=0, free=2)}
    assert import_codes(pool, ["E", "A"]) == Added(added=1, repeated=1)
    assert take_codes("sorry", [(1, 1), (3, 1)], NOW) == {1: "A", 3: "E"}


def test_the_number_of_statements_does_not_depend_on_how_many_want_one() -> None:
    make_pool("sorry", *(f"C{number}" for number in range(2_000)))

    def statements(first: int, count: int) -> int:
        with count_statements() as seen:
            assert len(take_codes("sorry", [(first + n, 1) for n in range(count)], NOW)) == count
        return len(seen)

    assert statements(1, 1) == statements(10, 1_000)


@pytest.mark.django_db(transaction=True)
def test_16_takers_never_share_a_code_and_leave_none_behind() -> None:
    """More want one than there are; some ask twice for the same message, one transaction in eight is rolled back."""
    make_pool("sorry", *(f"C{number:03}" for number in range(400)))
    together = threading.Barrier(TAKERS)

    def take(seed: int) -> dict[int, str]:
        chance = random.Random(seed)
        given: dict[int, str] = {}
        together.wait()
        for _ in range(10):
            wants = [(chance.randint(1, 900), 1) for _ in range(10)]
            with transaction.atomic():
                got = take_codes("sorry", wants, NOW)
                if undone := chance.random() < 1 / 8:
                    transaction.set_rollback(True)
            if not undone:
                given |= got
        return given

    with ThreadPoolExecutor(TAKERS) as workers:
        answers = [future.result(60) for future in [start(workers, take, seed) for seed in range(TAKERS)]]
    given: dict[int, set[str]] = {}
    for answer in answers:
        for taken_by, code in answer.items():
            given.setdefault(taken_by, set()).add(code)
    codes = [code for (code,) in given.values()]  # one for each message, whoever asked
    assert len(codes) == len(set(codes)) == 400
    assert set(codes) == {f"C{number:03}" for number in range(400)}
