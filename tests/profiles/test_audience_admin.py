"""The pages of audiences in the administration."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from ajo.core.models import AuditEvent, User
from profiles.audiences import authoring, services, suggestions
from profiles.models import AttributeDefinition, Audience, Profile
from profiles.stream import take_batch
from tests.factories import NOW, make_profile
from tests.profiles.audiences.world import look_at_everybody, make_audience, make_list
from tests.profiles.store import store, track
from tests.support import count_statements

pytestmark = pytest.mark.django_db
ROW = {"subject": {"attribute": "tier"}, "operator": "equal", "value": {"type": "text", "value": "gold"}}
DOCUMENT = {"match": "all", "rows": [ROW]}


def url(name: str, audience: Audience | None = None) -> str:
    return reverse(f"admin:profiles_audience_{name}", args=[audience.pk] if audience else [])


def ask(client: Client, body: Any) -> dict[str, Any]:
    answer = client.post(url("preview"), json.dumps(body), content_type="application/json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def gold() -> Profile:
    make_profile("bob", tier="blue")
    return make_profile("ada", tier="gold", first_name="Ada")


def test_the_builder_is_told_what_its_rule_means(admin_client: Client, gold: Profile) -> None:
    AttributeDefinition.objects.create(key="tier", label="Loyalty tier")
    said = ask(admin_client, {"document": DOCUMENT})
    assert said["text"] == 'profile.tier == "gold"'
    assert said["sentence"] == "Loyalty tier is “gold”"
    assert {name: said["estimate"][name] for name in ("count", "of", "share", "isExact")} == {
        "count": 1,
        "of": 2,
        "share": 50.0,
        "isExact": True,
    }
    page = reverse("admin:profiles_profile_change", args=[gold.pk])
    assert said["estimate"]["sample"] == [{"name": "Ada", "email": "ada@example.com", "url": page}]
    said = ask(admin_client, {"text": "profile.tier=='gold'||profile.age + 1 > 3"})
    assert (said["document"], said["doubts"]) == (None, [])
    said = ask(admin_client, {"text": 'inAudience("nobody")'})
    assert said["doubts"] == ["No active audience has the key “nobody”, so nobody is in it."]
    said = ask(admin_client, {"document": {"match": "all", "rows": [ROW, {**ROW, "value": None}]}})
    assert said == {"problems": [{"path": "1", "message": "Give a value."}]}
    said = ask(admin_client, {"text": "profile.tier = 1"})
    assert said["problems"][0]["message"].startswith("Line 1, column 14: ")
    for nonsense in ([], {"document": 3}, {"text": 3}, {}):
        assert ask(admin_client, nonsense)["problems"]


def test_a_rule_is_saved_from_the_builder_and_from_text(admin_client: Client, gold: Profile) -> None:
    audience = authoring.create(key="golden", name="Golden", kind="rule")
    page = admin_client.post(
        url("rule", audience), {"mode": "builder", "document": json.dumps(DOCUMENT)}, follow=True
    )
    assert "The rule is saved." in page.content.decode()
    audience.refresh_from_db()
    assert audience.rule == 'profile.tier == "gold"'
    page = admin_client.post(url("rule", audience), {"mode": "text", "text": "profile.tier =="})
    assert page.status_code == 422
    assert "profile.tier ==" in page.content.decode()
    assert "The expression ends too early." in page.content.decode()
    audience.refresh_from_db()
    assert audience.rule == 'profile.tier == "gold"', "A wrong rule replaced a right one."
    page = admin_client.post(url("do", audience), {"verb": "activate"}, follow=True)
    assert "The audience is active." in page.content.decode()
    look_at_everybody(NOW)
    page = admin_client.get(url("change", audience), {"why": "bob@example.com"})
    assert page.context["finding"].is_true is False
    assert page.context["finding"].value == "blue"
    assert [row.profile_id for row in page.context["members"]] == [gold.pk]
    assert audience.memberships.count() == 1
    admin_client.post(url("rule", audience), {"mode": "text", "text": "has(profile.tier)"})
    admin_client.post(url("describe", audience), {"name": "Tiered", "description": "All"})
    admin_client.post(url("do", audience), {"verb": "archive"})
    audience.refresh_from_db()
    assert (audience.name, audience.rule, audience.state) == ("Tiered", "has(profile.tier)", "archived")
    assert AuditEvent.objects.filter(object_kind="profiles.audience", user__isnull=False).count() == 5


def test_a_list_is_uploaded_from_a_file_and_from_text(admin_client: Client, gold: Profile) -> None:
    friends = make_list("friends")
    asked = {"namespace": 3, "text": "ada@example.com\neve@example.com"}
    page = admin_client.post(url("upload", friends), asked)
    assert page.context["uploaded"].people == 1
    assert "Nobody has this identity." in page.content.decode()
    file = SimpleUploadedFile("list.csv", "mail;x\nada@example.com;1\nbob@example.com;2".encode("utf-8-sig"))
    page = admin_client.post(url("upload", friends), {"namespace": 3, "file": file, "column": "mail"})
    assert page.context["uploaded"].people == 2
    for wrong, said in (
        ({"namespace": 3}, "There is no list."),
        ({"namespace": 3, "text": "a,b\n1,2"}, "The first line names: a, b"),
        ({"namespace": 3, "file": SimpleUploadedFile("x", b"\xff\xfe")}, "not in UTF-8"),
    ):
        page = admin_client.post(url("upload", friends), wrong)
        assert page.status_code == 422
        assert said in page.content.decode()
    assert friends.memberships.count() == 2


def test_days_tell_who_came_and_went(admin_client: Client) -> None:
    ada, bob = make_profile("ada"), make_profile("bob")
    friends = make_list("friends")
    services.replace_list(friends, [ada.pk, bob.pk], now=timezone.now())
    services.replace_list(friends, [bob.pk], now=timezone.now())
    page = admin_client.get(url("change", friends))
    assert page.context["days"][-1][1:] == (2, 1, 100.0, 50.0)
    changelist = admin_client.get(url("changelist"))
    assert "+2 / −1" in changelist.content.decode()


def test_values_are_suggested_that_several_people_share() -> None:
    AttributeDefinition.objects.create(key="ill", label="Illness", sensitivity="sensitive")
    for number in range(3):
        make_profile(tier="gold" if number else "blue", ill="flu", age=number)
    assert suggestions.values_of("tier") == ["gold"]
    assert suggestions.values_of("ill") == []
    assert {"key": "age", "label": "age", "type": "number"} in suggestions.attributes()
    store(*(track("ada", "Bought", properties={"total": 5, "paid": True, "to": {"a": 1}}) for _ in range(2)))
    take_batch(now=NOW)
    assert suggestions.properties_of("Bought") == [
        {"key": "paid", "type": "boolean", "values": []},
        {"key": "total", "type": "number", "values": ["5"]},
    ]
    assert suggestions.properties_of("Sold") == []


def test_pages_cost_the_same_for_few_and_many(admin_client: Client) -> None:
    friends = make_audience("friends", "has(profile.email)")

    def costs() -> list[int]:
        found = []
        for page in (url("changelist"), url("change", friends)):
            with count_statements() as seen:
                assert admin_client.get(page).status_code == 200
            found.append(len(seen))
        return found

    make_profile()
    look_at_everybody(NOW)
    costs()
    few = costs()
    for number in range(5):
        make_profile()
        make_list(f"list-{number}")
    services.evaluate_all()
    look_at_everybody(NOW)
    assert costs() == few


def test_a_viewer_looks_and_changes_nothing() -> None:
    golden = make_audience("golden", "profile.vip")
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.groups.add(Group.objects.get(name="viewer"))
    client = Client()
    client.force_login(viewer)
    page = client.get(url("change", golden)).content.decode()
    assert "Save and put in force" not in page
    assert '"isEditable": false' in page
    for name, body in (
        ("rule", {"text": "true"}),
        ("do", {"verb": "archive"}),
        ("describe", {"name": "X"}),
        ("upload", {}),
    ):
        assert client.post(url(name, golden), body).status_code == 403, name
    golden.refresh_from_db()
    assert (golden.state, golden.rule, golden.name) == ("active", "profile.vip", "golden")
    stranger = Client()
    stranger.force_login(User.objects.create_user("nobody", is_staff=True))
    for name in ("changelist", "suggest"):
        assert stranger.get(url(name)).status_code == 403
    assert stranger.get(url("change", golden)).status_code == 403
    assert stranger.post(url("preview"), "{}", content_type="application/json").status_code == 403
