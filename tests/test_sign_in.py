"""Signing in: five wrong passwords lock a name out from one address for a while; each sign-in is on the trail."""

from __future__ import annotations

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from ajo.core import tasks
from ajo.core.models import AuditEvent, User

pytestmark = pytest.mark.django_db
LOGIN = "/admin/login/"
PASSWORD = "correct-horse-battery"


@pytest.fixture
def ada() -> User:
    return User.objects.create_superuser("ada", password=PASSWORD)


def try_password(client: Client, password: str, address: str = "198.51.100.1", **headers: str) -> int:
    answer = client.post(
        LOGIN, {"username": "ada", "password": password}, REMOTE_ADDR=address, headers=headers or None
    )
    return answer.status_code


def lock(client: Client, **headers: str) -> None:
    assert [try_password(client, f"wrong {n}", **headers) for n in range(5)] == [200, 200, 200, 200, 429]


def test_the_right_password_leads_home_and_is_on_the_trail(client: Client, ada: User) -> None:
    answer = client.post(LOGIN, {"username": "ada", "password": PASSWORD}, REMOTE_ADDR="198.51.100.1")
    assert answer["Location"] == "/admin/"
    line = AuditEvent.objects.get()
    assert (line.action, line.user) == ("sign_in", ada)
    assert line.data == {"name": "ada", "address": "198.51.100.1"}


def test_after_five_wrong_passwords_the_right_one_does_not_help(client: Client, ada: User) -> None:
    lock(client)
    answer = client.post(LOGIN, {"username": "ada", "password": PASSWORD}, REMOTE_ADDR="198.51.100.1")
    assert answer.status_code == 429
    page = answer.content.decode()
    assert "this name cannot sign in from here for 15 minutes" in page
    assert "Allow signing in again" in page
    assert "_auth_user_id" not in client.session
    assert AuditEvent.objects.filter(action="lock_out", data__name="ada").exists()
    assert not AuditEvent.objects.filter(action="sign_in").exists()


def test_elsewhere_its_owner_still_signs_in(client: Client, ada: User) -> None:
    lock(client)
    assert try_password(client, PASSWORD, address="203.0.113.9") == 302


def test_the_lock_opens_by_itself(client: Client, ada: User) -> None:
    lock(client)
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))
    assert try_password(client, PASSWORD) == 302


def test_an_administrator_opens_it(client: Client, ada: User, admin_client: Client) -> None:
    lock(client)
    url = reverse("admin:core_user_unlock", args=[ada.pk])
    answer = admin_client.post(url, {"_form_submitted": "on"}, headers={"HX-Request": "true"})
    assert answer["HX-Redirect"] == reverse("admin:core_user_change", args=[ada.pk])
    assert try_password(client, PASSWORD) == 302
    assert AuditEvent.objects.filter(action="unlock_user", object_key=str(ada.pk)).exists()


def test_without_a_trusted_proxy_a_header_is_nobodys_address(client: Client, ada: User) -> None:
    headers = {"X-Forwarded-For": "203.0.113.1"}
    lock(client, **headers)
    assert try_password(client, PASSWORD, **{"X-Forwarded-For": "203.0.113.2"}) == 429


def test_behind_a_trusted_proxy_its_last_word_counts(client: Client, ada: User, settings: Settings) -> None:
    settings.AJO_TRUST_PROXY = True
    lock(client, **{"X-Forwarded-For": "10.0.0.1, 203.0.113.1"})
    # The caller may write what they like before it.
    assert try_password(client, PASSWORD, **{"X-Forwarded-For": "10.0.0.2, 203.0.113.1"}) == 429
    assert try_password(client, PASSWORD, **{"X-Forwarded-For": "10.0.0.1, 203.0.113.2"}) == 302


def test_passwords_are_not_kept_with_the_attempts(client: Client, ada: User) -> None:
    try_password(client, "secret of mine")
    assert "secret of mine" not in str(AccessAttempt.objects.values())


def test_a_short_password_is_refused(client: Client, ada: User) -> None:
    client.force_login(ada)
    answer = client.post(
        reverse("admin:password_change"),
        {"old_password": PASSWORD, "new_password1": "short-one", "new_password2": "short-one"},
    )
    assert "at least 12 characters" in answer.content.decode()


def test_what_is_over_is_forgotten(client: Client, ada: User) -> None:
    """Sessions that nobody can use any more, and wrong passwords that lock nobody."""
    for name, days in (("over", -1), ("open", 1)):
        Session.objects.create(session_key=name, expire_date=timezone.now() + timedelta(days=days))
    try_password(client, "wrong", address="198.51.100.1")
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(days=2))
    try_password(client, "wrong", address="198.51.100.2")
    tasks.purge_sign_ins()
    assert Session.objects.get().session_key == "open"
    assert AccessAttempt.objects.get().ip_address == "198.51.100.2"
