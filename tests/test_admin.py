"""The administration of users, keys and the audit trail, within the real sidebar."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from ajo.core.models import ApiKey, AuditEvent, User

pytestmark = pytest.mark.django_db


def test_the_pages_open(admin_client: Client, admin_user: User) -> None:
    ApiKey.objects.create_key(name="reports", created_by=admin_user)
    AuditEvent.record("publish_journey", admin_user, user=admin_user)
    for name in ("core_user", "core_apikey", "core_auditevent", "auth_group"):
        assert admin_client.get(reverse(f"admin:{name}_changelist")).status_code == 200
    for name in ("core_user", "core_apikey", "auth_group"):
        assert admin_client.get(reverse(f"admin:{name}_add")).status_code == 200
    assert admin_client.get(reverse("admin:index")).status_code == 200


def test_a_new_api_key_is_shown_once_and_knows_its_maker(admin_client: Client, admin_user: User) -> None:
    added = admin_client.post(
        reverse("admin:core_apikey_add"),
        {"name": "reports", "scopes": ["messages:read"], "expiry_date_0": "", "expiry_date_1": ""},
    )
    listed = admin_client.get(added["Location"]).content.decode()
    key = ApiKey.objects.get()
    assert key.created_by == admin_user
    assert f"{key.prefix}." in listed
    assert (
        f"The API key for reports is: {key.prefix}."
        not in admin_client.get(added["Location"]).content.decode()
    )


def test_the_audit_trail_cannot_be_written_by_hand(admin_client: Client, admin_user: User) -> None:
    line = AuditEvent.record("publish_journey", admin_user, user=admin_user)
    assert admin_client.get(reverse("admin:core_auditevent_add")).status_code == 403
    assert admin_client.post(reverse("admin:core_auditevent_change", args=[line.pk]), {}).status_code == 403
    assert admin_client.post(reverse("admin:core_auditevent_delete", args=[line.pk])).status_code == 403


def test_an_empty_list_promises_nothing_that_nobody_can_do(admin_client: Client) -> None:
    url = reverse("admin:channels_message_changelist")
    page = admin_client.get(url).content.decode()
    assert "No messages yet" in page
    assert "They appear here by themselves." in page
    filtered = admin_client.get(url, {"state__exact": "3"}).content.decode()
    assert "Nothing matches" in filtered
    assert "No messages yet" not in filtered
    assert "Add send hold" in admin_client.get(reverse("admin:channels_sendhold_changelist")).content.decode()
