from __future__ import annotations

import email
from datetime import timedelta
from email import policy
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from ajo.core.models import AuditEvent
from channels import authoring, checklist, services
from channels.authoring import ProofRefused
from channels.checklist import Authored, Check
from channels.models import ChannelConfiguration, Content, Message
from channels.providers.base import ProviderError, Receipt, Verdict
from profiles.models import Channel, ProfileEvent
from tests.channels.conftest import FakeService
from tests.factories import NOW, make_profile
from tests.mailbox import Mailbox

pytestmark = pytest.mark.django_db

BODY = """<mjml><mj-body><mj-section><mj-column>
<mj-text>Hello {{ profile.first_name | default: "friend" }}</mj-text>
</mj-column></mj-section></mj-body></mjml>"""


def words(**fields: str) -> Authored:
    given = {"subject": "Hi", "preheader": "", "mjml_source": "", "html_source": "", "text": ""} | fields
    return checklist.authored(**given)


def said(checks: list[Check], code: str) -> list[tuple[str, int | None]]:
    return [(check.level, check.line) for check in checks if check.code == code]


@pytest.fixture
def content() -> Content:
    return services.save_draft(key="news", name="News", variants=[{"subject": "Hi", "mjml": BODY}]).content


# --- preview ---------------------------------------------------------------------------------------------------


def test_a_preview_is_the_email_of_that_person(content: Content, configuration: ChannelConfiguration) -> None:
    ada = make_profile(first_name="Ada")
    authored = words(subject="For {{ profile.first_name }}", preheader="{{ brand.name }}", mjml_source=BODY)
    seen = authoring.preview(authored, authoring.values_for(content=content, profile_id=ada.pk))
    assert seen.findings == []
    assert seen.shown is not None
    assert seen.shown.subject == "For Ada"
    assert seen.preheader == configuration.sender_name
    assert "Hello Ada" in seen.shown.html
    assert seen.shown.text.strip() == "Hello Ada"
    nobody = authoring.preview(authored, authoring.values_for(content=content))
    assert nobody.shown is not None
    assert "Hello friend" in nobody.shown.html


def test_numbers_are_shown_as_they_were_sent(content: Content) -> None:
    ada = make_profile()
    with connection.cursor() as cursor:  # as the stream writes it; a float of Python would be 19.9
        cursor.execute("UPDATE profile SET attributes = '{\"balance\": 19.90}' WHERE id = %s", [ada.pk])
    values = authoring.values_for(content=content, profile_id=ada.pk)
    seen = authoring.preview(words(subject="{{ profile.balance }}", text="x"), values)
    assert seen.shown is not None
    assert seen.shown.subject == "19.90"


def test_problems_name_their_field_and_line_and_the_rest_is_still_shown(content: Content) -> None:
    broken = BODY.replace("Hello", "Hello\n{{ name }}")
    seen = authoring.preview(words(subject="{{ x | upcas }}", mjml_source=broken), {})
    assert [(f.level, f.field, f.line, f.message[:30]) for f in seen.findings] == [
        ("error", "subject", 1, "there is no filter named upcas"),
        ("error", "subject", 1, "x is not known here and would "),
        ("error", "mjml", 3, "name is not known here and wou"),
    ]
    assert seen.shown is None
    only_subject = authoring.preview(words(subject="{{ x | upcas }}", mjml_source=BODY), {"profile": {}})
    assert only_subject.shown is not None
    assert "Hello friend" in only_subject.shown.html


def test_a_value_that_does_not_fit_is_a_problem_of_its_field() -> None:
    seen = authoring.preview(words(text="{{ 'a' | plus: event.x | divided_by: 0 }}"), {"event": {"x": 1}})
    assert [finding.field for finding in seen.findings] == ["text"]
    assert seen.shown is None


# --- the list before sending -------------------------------------------------------------------------------------


def test_an_email_in_order_passes_every_check() -> None:
    body = (
        '<p>{% if profile.tier %}{{ profile.tier }}{% endif %}<img alt="" src="https://x/y">'
        '<a href="{{ unsubscribe_url }}">Out</a> <a href="https://x.example">In</a></p>'
    )
    checks = authoring.preview(words(preheader="Soon", html_source=body), {"profile": {}}).checks
    assert {check.code: check.level for check in checks} == dict.fromkeys(
        ["subject", "preheader", "unsubscribe", "alt", "links", "defaults", "size"], "ok"
    )


@pytest.mark.parametrize(
    ("fields", "code", "expected"),
    [
        ({"subject": " ", "text": "x"}, "subject", [("error", None)]),
        ({"subject": "x" * 61, "text": "x"}, "subject", [("warning", None)]),
        ({"text": "x"}, "preheader", [("advice", None)]),
        ({"html_source": "<p>a"}, "unsubscribe", [("warning", None)]),
        ({"html_source": "<p>\n<img src='https://x/y'><img alt='a'>"}, "alt", [("warning", 2)]),
        ({"mjml_source": "<mjml>\n\n<mj-image src='https://x/y' />"}, "alt", [("warning", 3)]),
        ({"html_source": "<a href='http://x.example'>a</a>\n<a href=''>b</a>\n<a href='www.x.example'>c</a>"},
         "links", [("warning", 1), ("warning", 2), ("warning", 3)]),
        ({"html_source": "<a href='mailto:a@b.c'>a</a><a href='{{ event.url }}'>b</a><a href='#top'>c</a>"},
         "links", [("ok", None)]),
        ({"subject": "{{ profile.first_name }}", "html_source": "\n{{ profile.x | upcase }}"}, "defaults",
         [("warning", 1), ("warning", 2)]),
    ],
)  # fmt: skip
def test_what_is_to_be_looked_at_has_its_place(
    fields: dict[str, str], code: str, expected: list[tuple[str, int | None]]
) -> None:
    assert said(authoring.preview(words(**fields), {}).checks, code) == expected


def test_html_that_gmail_cuts_off_is_a_warning() -> None:
    small, large = (
        authoring.preview(
            words(html_source="<p>" + "{{ event.x }}" * 10), {"event": {"x": "y" * size}}
        ).checks
        for size in (10_000, 10_500)
    )
    assert said(small, "size") == [("ok", None)]
    assert said(large, "size") == [("warning", None)]


# --- drafts ------------------------------------------------------------------------------------------------------


def test_the_html_is_made_from_the_mjml_at_each_save(content: Content) -> None:
    variant = content.versions.get().variants.get()
    assert "Hello {{ profile.first_name" in variant.html
    assert "<mj-text>" not in variant.html
    broken = {"subject": "Hi", "mjml": "<mjml>", "html": "stale"}
    services.save_draft(key="news", name="News", variants=[broken])
    assert content.versions.get().variants.get().html == ""


def test_published_words_stay_when_the_compiler_would_make_others(content: Content) -> None:
    published = services.publish_content(content=content, now=NOW)
    html = published.variants.get().html
    services.open_draft(content=content)
    services.save_draft(
        key="news", name="News", variants=[{"subject": "New", "mjml": BODY.replace("Hello", "Bye")}]
    )
    assert published.variants.get().html == html


def test_mjml_with_a_problem_is_not_published_and_the_line_is_said() -> None:
    version = services.save_draft(
        key="a", name="A", variants=[{"subject": "Hi", "mjml": BODY.replace("<mj-text>", "<mj-txt>", 1)}]
    )
    with pytest.raises(services.ContentRefused) as caught:
        services.publish_content(content=version.content, now=NOW)
    assert caught.value.problems[0] == "MJML: Line 2: There is no tag <mj-txt>. Did you mean mj-text?"


def test_who_writes_on_an_old_draft_is_refused_and_nothing_changes(content: Content) -> None:
    revision = services.revision_of(content.versions.get())
    mine = services.save_draft(
        key="news", name="News", variants=[{"subject": "Mine", "mjml": BODY}], revision=revision
    )
    with pytest.raises(services.StaleRevision):
        services.save_draft(key="news", name="Theirs", variants=[{"subject": "Theirs"}], revision=revision)
    with pytest.raises(services.StaleRevision):
        services.save_draft(key="news", name="Theirs", variants=[{"subject": "Theirs"}], revision="")
    assert mine.variants.get().subject == "Mine"
    content.refresh_from_db()
    assert content.name == "News"
    assert services.revision_of(mine) not in {"", revision}


def test_somebody_who_goes_on_writing_is_one_line_of_the_audit(content: Content) -> None:
    ada = get_user_model().objects.create_user("ada")
    for user in (ada, ada, None, ada):
        services.save_draft(key="news", name="News", variants=[{"subject": "x", "text": "y"}], user=user)
    users = AuditEvent.objects.filter(action="save_content").order_by("id").values_list("user", flat=True)
    assert list(users) == [None, ada.pk, None, ada.pk]


# --- proofs ------------------------------------------------------------------------------------------------------


def send(content: Content, configuration: ChannelConfiguration, **fields: Any) -> str:
    profile = fields.pop("profile", None)
    arguments: dict[str, Any] = {
        "content": content,
        "authored": services.authored_words(content.versions.get().variants.get()),
        "address": "author@example.com",
        "configuration": configuration,
        "values": authoring.values_for(content=content, profile_id=profile),
        "now": NOW,
    }
    return authoring.send_proof(**(arguments | fields))


def test_a_proof_arrives_and_is_no_message(
    content: Content, configuration: ChannelConfiguration, mailbox: Mailbox
) -> None:
    ada = make_profile(first_name="Ada")
    before = ProfileEvent.objects.count()
    send(content, configuration, profile=ada.pk)
    (entry,) = mailbox.log()
    assert entry["rcpt"] == ["author@example.com"]
    raw = mailbox.get(f"/messages/{entry['n']}.eml")
    message = email.message_from_bytes(raw, policy=policy.default)
    assert message["Subject"] == "[Proof] Hi"
    assert message["To"] == "author@example.com"
    body = message.get_body(("html",))
    assert body is not None
    assert "Hello Ada" in body.get_content()
    assert not Message.objects.exists()
    assert ProfileEvent.objects.count() == before
    audit = AuditEvent.objects.get(action="send_proof")
    assert audit.data == {
        "address": "author@example.com",
        "configuration": configuration.key,
        "profile": None,
    }


def test_a_person_sends_so_many_proofs_and_no_more(
    content: Content, configuration: ChannelConfiguration, service: FakeService
) -> None:
    ada, bob = (get_user_model().objects.create_user(name) for name in ("ada", "bob"))
    for _ in range(authoring.PROOFS):
        send(content, configuration, user=ada)
    AuditEvent.objects.update(at=NOW)
    with pytest.raises(ProofRefused, match="within 10 minutes"):
        send(content, configuration, user=ada)
    assert len(service.calls) == authoring.PROOFS
    send(content, configuration, user=bob)
    send(content, configuration, user=ada, now=NOW + authoring.PROOF_WINDOW + timedelta(seconds=1))
    assert len(service.calls) == authoring.PROOFS + 2


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"address": "nobody"}, "address"), ({"address": "a@b.example\r\nBcc: c@d.example"}, "address")],
)
def test_a_proof_goes_to_an_address_only(
    content: Content,
    configuration: ChannelConfiguration,
    service: FakeService,
    fields: dict[str, str],
    field: str,
) -> None:
    with pytest.raises(ProofRefused) as caught:
        send(content, configuration, **fields)
    assert caught.value.field == field
    assert service.calls == []


def test_nothing_is_sent_to_a_suppressed_address(
    content: Content, configuration: ChannelConfiguration, service: FakeService
) -> None:
    services.suppress(channel=Channel.EMAIL, address="author@example.com")
    with pytest.raises(ProofRefused, match="suppressed"):
        send(content, configuration, address="Author@Example.com")
    assert service.calls == []


def test_words_with_a_problem_are_not_sent(
    content: Content, configuration: ChannelConfiguration, service: FakeService
) -> None:
    with pytest.raises(ProofRefused, match="The subject is empty"):
        send(content, configuration, authored=words(subject="", mjml_source=BODY))
    assert service.calls == []
    assert not AuditEvent.objects.filter(action="send_proof").exists()


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        (Verdict.REFUSED, "did not accept the proof: mailbox unknown"),
        (Verdict.UNKNOWN, "nobody knows whether the proof arrived"),
    ],
)
def test_what_the_service_says_is_told(
    content: Content,
    configuration: ChannelConfiguration,
    service: FakeService,
    verdict: Verdict,
    sentence: str,
) -> None:
    service.answer = lambda outgoing: Receipt(outgoing.message_id, verdict, detail="mailbox unknown")
    with pytest.raises(ProofRefused, match=sentence):
        send(content, configuration)


def test_a_service_that_is_away_is_told(
    content: Content, configuration: ChannelConfiguration, service: FakeService
) -> None:
    def fail() -> None:
        raise ProviderError("no route", permanent=False)

    service.before_answer = fail
    with pytest.raises(ProofRefused, match="cannot be reached: no route"):
        send(content, configuration)
    configuration.is_active = False
    with pytest.raises(ProofRefused, match="switched off"):
        send(content, configuration)
