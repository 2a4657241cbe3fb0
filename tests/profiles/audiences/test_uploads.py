"""Lists of identities become lists of people, and who is nobody is told by line."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from profiles.audiences import services, uploads
from profiles.audiences.uploads import Line, Unmatched, Unreadable, upload
from profiles.identity import EMAIL, PHONE, USER_ID
from profiles.models import Audience, Identity, Membership, Profile
from tests.factories import NOW, make_profile
from tests.profiles.audiences.world import make_audience, make_list, members
from tests.support import count_statements


def lines(*values: str) -> list[Line]:
    return [Line(number, value) for number, value in enumerate(values, start=2)]


@pytest.mark.django_db
def test_people_are_found_by_what_was_given() -> None:
    ada, bob = make_profile("ada"), make_profile("bob")
    friends = make_list("friends")
    done = upload(
        friends,
        EMAIL,
        lines(" ADA@example.com", "bob@example.com", "ada@example.com", "eve@example.com", "x"),
        now=NOW,
    )
    assert (done.lines, done.people, done.made) == (5, 2, 0)
    assert done.unmatched == [
        Unmatched(5, "eve@example.com", "Nobody has this identity."),
        Unmatched(6, "x", "This is no such identity."),
    ]
    assert members() == {"friends": {ada.pk, bob.pk}}
    assert Profile.objects.count() == 2, "A line that stands for nobody made a profile."
    upload(friends, USER_ID, lines("bob"), now=NOW)
    assert members() == {"friends": {bob.pk}}


@pytest.mark.django_db
def test_missing_people_are_made_when_asked_for() -> None:
    make_profile("ada")
    nobody_special = make_audience("unknown", "!has(profile.tier)")
    friends = make_list("friends")
    done = upload(
        friends,
        EMAIL,
        lines("ada@example.com", "Eve@example.com", "eve@example.com", "x"),
        makes_missing=True,
        now=NOW,
    )
    assert (done.people, done.made, [each.line for each in done.unmatched]) == (2, 1, [5])
    eve = Profile.objects.latest("pk")
    assert eve.attributes == {"email": "eve@example.com"}
    assert Identity.objects.get(profile=eve).value == "eve@example.com"
    assert Membership.objects.filter(audience=nobody_special, profile=eve).exists()
    done = upload(friends, PHONE, lines("+49 30 123456"), makes_missing=True, now=NOW)
    assert (done.people, done.made) == (1, 1)
    assert Profile.objects.latest("pk").attributes == {"phone": "+4930123456"}


@pytest.mark.django_db
def test_a_rule_takes_no_list_and_makes_nobody() -> None:
    audience = make_audience("golden", 'profile.tier == "gold"')
    with pytest.raises(services.Refused, match="has a rule"):
        upload(audience, EMAIL, lines("eve@example.com"), makes_missing=True, now=NOW)
    assert not Profile.objects.exists()


@pytest.mark.django_db
def test_statements_do_not_grow_with_the_lines() -> None:
    friends = make_list("friends")
    for warm in ("a@example.com", "z@example.com"):  # the first ones also make the types of what is told
        upload(friends, EMAIL, lines(warm), makes_missing=True, now=NOW)
    with count_statements() as few:
        upload(friends, EMAIL, lines("b@example.com"), makes_missing=True, now=NOW)
    with count_statements() as many:
        upload(friends, EMAIL, lines(*(f"n{n}@example.com" for n in range(300))), makes_missing=True, now=NOW)
    assert len(many) == len(few)


@pytest.mark.django_db(transaction=True)
def test_two_uploads_at_once_make_each_person_once() -> None:
    first, second = make_list("first"), make_list("second")
    given = lines(*(f"n{n}@example.com" for n in range(200)))
    both = threading.Barrier(2)

    def run(audience: Audience) -> int:
        try:
            both.wait(10)
            return upload(audience, EMAIL, given, makes_missing=True, now=NOW).made
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(run, [first, second]))
    assert sum(made) == Profile.objects.count() == Identity.objects.count() == 200
    found = members()
    assert found["first"] == found["second"]
    assert len(found["first"]) == 200


def test_a_table_is_read_by_its_column() -> None:
    text = "\ufeffname;email\nAda;ada@example.com\n\nBob;\nEve; eve@example.com\n"
    assert uploads.read_csv(text, "email") == [Line(2, "ada@example.com"), Line(5, "eve@example.com")]
    assert uploads.read_csv("a@example.com\nb@example.com", "email") == [
        Line(1, "a@example.com"),
        Line(2, "b@example.com"),
    ]
    assert uploads.read_csv('email,name\na@example.com,"A, B"', "email") == [Line(2, "a@example.com")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The list is empty"),
        ("name,mail\nAda,ada@example.com", "The first line names: name, mail"),
        ('name,email\nAda,"x', "Line 2 cannot be read"),
    ],
)
def test_what_is_no_list_is_said(text: str, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        uploads.read_csv(text, "email")
