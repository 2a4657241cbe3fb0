"""The audit trail of what people do in the administration: who, what, before and after; never a secret."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from ajo.core.models import ApiKey, AuditEvent, User
from channels.models import SendHold, Suppression
from profiles.models import AttributeDefinition, Channel, Source
from tests.factories import make_configuration, make_source

pytestmark = pytest.mark.django_db
PASSWORD = "correct-horse-battery"


def last() -> AuditEvent:
    line = AuditEvent.objects.first()
    assert line is not None
    return line


def changes() -> dict[str, Any]:
    return dict(last().data["changes"])


def test_a_user_is_made_and_gets_another_role(admin_client: Client, admin_user: User) -> None:
    viewer, marketer = (Group.objects.get(name=name) for name in ("viewer", "marketer"))
    admin_client.post(
        reverse("admin:core_user_add"),
        {"username": "ada", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD,
         "groups": [viewer.pk]},
    )  # fmt: skip
    ada = User.objects.get(username="ada")
    assert (last().action, last().user, last().object_key) == ("create_user", admin_user, str(ada.pk))
    assert changes() == {"username": [None, "ada"], "groups": [None, ["viewer"]]}

    admin_client.post(
        reverse("admin:core_user_change", args=[ada.pk]),
        {
            "username": "ada",
            "time_zone": "Europe/Zurich",
            "is_active": "on",
            "groups": [viewer.pk, marketer.pk],
        },
    )
    assert last().action == "change_user"
    assert changes() == {
        "groups": [["viewer"], ["marketer", "viewer"]],
        "time_zone": ["UTC", "Europe/Zurich"],
    }


def test_a_new_password_is_named_and_not_told(admin_client: Client, admin_user: User) -> None:
    url = reverse("admin:auth_user_password_change", args=[admin_user.pk])
    admin_client.post(url, {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD})
    admin_user.refresh_from_db()
    assert admin_user.check_password(PASSWORD)
    assert last().action == "change_user"
    assert changes() == {"password": ["•••", "•••"]}
    assert PASSWORD not in str(list(AuditEvent.objects.values()))


def test_ones_own_account_and_password(admin_client: Client, admin_user: User) -> None:
    admin_user.set_password(PASSWORD)
    admin_user.save()
    admin_client.force_login(admin_user)
    admin_client.post(
        reverse("account"), {"first_name": "Ada", "email": admin_user.email, "time_zone": "UTC"}
    )
    assert (last().action, changes()) == ("change_user", {"first_name": [None, "Ada"]})

    another = f"{PASSWORD}-2"
    admin_client.post(
        reverse("admin:password_change"),
        {"old_password": PASSWORD, "new_password1": another, "new_password2": another},
    )
    assert (last().action, changes()) == ("change_user", {"password": ["•••", "•••"]})


def test_a_group(admin_client: Client) -> None:
    admin_client.post(reverse("admin:auth_group_add"), {"name": "Publishers", "permissions": []})
    group = Group.objects.get(name="Publishers")
    assert changes() == {"name": [None, "Publishers"]}
    admin_client.post(reverse("admin:auth_group_delete", args=[group.pk]), {"post": "yes"})
    assert last().action == "delete_group"
    assert changes()["name"] == ["Publishers", None]


def test_an_api_key_is_made_and_revoked_without_its_secret(admin_client: Client) -> None:
    admin_client.post(reverse("admin:core_apikey_add"), {"name": "reports", "scopes": ["catalogue:read"]})
    key = ApiKey.objects.get()
    assert (last().action, last().object_key) == ("create_apikey", key.prefix)
    admin_client.post(
        reverse("admin:core_apikey_change", args=[key.pk]),
        {"name": "reports", "revoked": "on", "scopes": ["catalogue:read"]},
    )
    assert (last().action, changes()) == ("change_apikey", {"revoked": [False, True]})
    assert key.hashed_key not in str(list(AuditEvent.objects.values()))


def test_a_source(admin_client: Client) -> None:
    source = make_source("website", name="Website")
    admin_client.post(reverse("admin:profiles_source_change", args=[source.pk]), {"name": "Shop"})
    assert (last().action, last().object_key) == ("change_source", "website")
    assert changes() == {"name": ["Website", "Shop"], "is_active": [True, False]}
    assert Source.objects.get().write_key not in str(list(AuditEvent.objects.values()))


def test_nothing_changed_is_no_line(admin_client: Client) -> None:
    source = make_source("website", name="Website")
    url = reverse("admin:profiles_source_change", args=[source.pk])
    admin_client.post(url, {"name": "Website", "is_active": "on"})
    admin_client.post(url, {"name": ""})
    assert not AuditEvent.objects.exclude(action="sign_in").exists()


def test_the_settings_of_a_configuration_stay_secret(admin_client: Client) -> None:
    configuration = make_configuration("email", settings={})
    admin_client.post(
        reverse("admin:channels_channelconfiguration_change", args=[configuration.pk]),
        {"name": "Email", "channel": Channel.EMAIL, "provider": "smtp", "sender_name": "Harbour",
         "sender_address": "hello@brand.example", "is_active": "on",
         "settings": '{"host": "smtp.example", "username": "u", "password": "hush-hush"}'},
    )  # fmt: skip
    assert changes()["settings"] == ["•••", "•••"]
    assert changes()["sender_name"] == ["Harbour & Pine", "Harbour"]
    assert "hush-hush" not in str(list(AuditEvent.objects.values()))


def test_a_hold_is_put_on_and_taken_off(admin_client: Client) -> None:
    admin_client.post(
        reverse("admin:channels_sendhold_add"),
        {"scope": SendHold.Scope.EVERYTHING, "ref": 0, "reason": "A wrong price"},
    )
    assert changes() == {"scope": [None, "Everything"], "ref": [None, 0], "reason": [None, "A wrong price"]}
    admin_client.post(
        reverse("admin:channels_sendhold_changelist"),
        {"action": "delete_selected", "_selected_action": [SendHold.objects.get().pk], "post": "yes"},
    )
    assert not SendHold.objects.exists()
    assert last().action == "delete_sendhold"
    assert changes()["reason"] == ["A wrong price", None]


def test_an_attribute_definition_shows_labels(admin_client: Client) -> None:
    city = AttributeDefinition.objects.create(key="city", label="City")
    admin_client.post(
        reverse("admin:profiles_attributedefinition_change", args=[city.pk]),
        {"key": "city", "label": "City", "type": "text", "sensitivity": "sensitive", "description": ""},
    )
    assert changes() == {"sensitivity": ["Personal", "Sensitive"]}


def test_suppressions(admin_client: Client) -> None:
    url = reverse("suppressions")
    admin_client.post(url, {"verb": "add", "address": "Ada@Example.com"})
    assert Suppression.objects.get().address == "ada@example.com"
    assert (last().action, last().object_key) == ("create_suppression", "ada@example.com")
    assert "ada@example.com" in admin_client.get(url, {"q": "ADA@example.com"}).content.decode()
    assert "This address is not suppressed" in admin_client.get(url, {"q": "bo@example.com"}).content.decode()

    admin_client.post(url, {"verb": "delete", "address": "ada@example.com"})
    assert not Suppression.objects.exists()
    assert (last().action, last().data["reason"]) == ("delete_suppression", "Added by hand")
    assert (
        "neither an email address" in admin_client.post(url, {"verb": "add", "address": "x"}).content.decode()
    )

    admin_client.post(url, {"verb": "add", "address": "+49 170 1234567"})
    assert list(Suppression.objects.values_list("channel", "address")) == [(Channel.SMS, "+491701234567")]
    assert "+491701234567" in admin_client.get(url, {"q": "+49 (170) 1234567"}).content.decode()
    admin_client.post(url, {"verb": "delete", "address": "+491701234567", "channel": str(Channel.SMS.value)})
    assert not Suppression.objects.exists()


def test_suppressions_ask_for_the_right(client: Client) -> None:
    developer = User.objects.create_user("dev", is_staff=True)
    url = reverse("suppressions")
    client.force_login(developer)
    assert client.get(url).status_code == 403
    developer.groups.add(Group.objects.get(name="developer"))
    assert client.get(url).status_code == 200
    assert client.post(url, {"verb": "add", "address": "ada@example.com"}).status_code == 403
    assert client.post(url, {"verb": "delete", "address": "ada@example.com"}).status_code == 403
    assert not Suppression.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_change_without_its_line_is_no_change(admin_client: Client) -> None:
    source = make_source("website", name="Website")
    admin_client.raise_request_exception = False
    with mock.patch.object(AuditEvent, "record", side_effect=RuntimeError):
        admin_client.post(reverse("admin:profiles_source_change", args=[source.pk]), {"name": "Shop"})
    source.refresh_from_db()
    assert source.name == "Website"


# --- the page ---------------------------------------------------------------------------------------------------


def test_the_trail_says_it_in_words_and_leads_to_the_object(admin_client: Client) -> None:
    source = make_source("website", name="Website")
    admin_client.post(
        reverse("admin:profiles_source_change", args=[source.pk]), {"name": "Shop", "is_active": "on"}
    )
    page = admin_client.get(reverse("admin:core_auditevent_changelist")).content.decode()
    assert "changed source" in page
    assert "<b>name</b>: Website → Shop" in page
    there = admin_client.get(reverse("admin:core_auditevent_object", args=[last().pk]))
    assert there["Location"] == reverse("admin:profiles_source_change", args=[source.pk])


@pytest.mark.parametrize(
    ("query", "n"),
    [
        ({"q": "website"}, 1),
        ({"q": "Shop"}, 1),
        ({"q": "admin"}, 2),
        ({"action": "change_source"}, 1),
        ({"object_kind": "core.user"}, 1),
        ({"at__gte": "2999-01-01 00:00:00+00:00"}, 0),
    ],
)
def test_the_trail_is_searched_and_filtered(
    admin_client: Client, admin_user: User, query: dict[str, str], n: int
) -> None:
    AuditEvent.objects.all().delete()
    AuditEvent.record("sign_in", admin_user, user=admin_user)
    AuditEvent.record("change_source", make_source("website"), user=admin_user, name="Shop", changes={})
    page = admin_client.get(reverse("admin:core_auditevent_changelist"), query)
    assert page.status_code == 200
    assert page.context["cl"].result_count == n


def test_an_object_that_is_gone_has_no_page(admin_client: Client) -> None:
    source = make_source("website")
    line = AuditEvent.record("change_source", source)
    Source.objects.all().delete()
    there = admin_client.get(reverse("admin:core_auditevent_object", args=[line.pk]))
    assert there["Location"] == reverse("admin:core_auditevent_changelist")
