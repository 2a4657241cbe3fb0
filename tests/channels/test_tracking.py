"""From the mailbox back to the profile: pixels fetched, links clicked, people who leave."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client

from ajo.lib import doorbell
from ajo.lib.ids import uuid7
from ajo.lib.pool import HotPool, Unavailable
from channels import delivery, services
from channels.models import ChannelConfiguration, Link, Message, MessageClass, Variant
from channels.tracking import feedback, tokens, wsgi
from channels.tracking.feedback import CLICKED, OPENED
from offers.models import DecisionOutcome, ModelStat, Representation
from profiles.ingest.writer import SESSION
from profiles.models import Channel, Consent, Event, Profile, ProfileEvent
from profiles.own_events import Recorder
from profiles.stream import take_batch
from tests import factories
from tests.factories import NOW, make_profile
from tests.mailbox import Mailbox
from tests.offers.helpers import make_offer, make_policy, make_strategy
from tests.support import count_statements

pytestmark = pytest.mark.django_db(transaction=True)

Queue = Callable[..., None]
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SHOP = "https://shop.example/sale?from=mail&x=1"
HTML = (
    '<html><body><p>Hello {{ profile.first_name }}</p><a href="https://shop.example/sale?from=mail&amp;x=1">Sale</a>'
    '<a href="https://shop.example/{{ event.item | url_encode }}/{{ profile.first_name }}">Item</a>'
    '<a href="{{ profile.site }}">Site</a>'
    '<a href="{{ unsubscribe_url }}">Leave</a> <a href="{{ preferences_url }}">Choose</a></body></html>'
)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Public:
    """Whoever is out there with a mail program, and the doors that they come through."""

    def __init__(self, door: wsgi.Door) -> None:
        self.door = door

    def get(self, path: str, *, method: str = "GET", agent: str = BROWSER, **headers: str) -> Answer:
        path = path.removeprefix(tokens.public_url())
        told: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], object]:
            told.update(status=int(status[:3]), headers=dict(headers))
            return lambda data: None

        environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "HTTP_USER_AGENT": agent, **headers}
        body = b"".join(self.door(environ, start_response))
        return Answer(told["status"], told["headers"], body)


@pytest.fixture(autouse=True)
def _no_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "ring", lambda task: None)


@pytest.fixture
def public(transactional_db: None) -> Iterator[Public]:
    reading, writing = HotPool(size=2), HotPool(size=1, settings=SESSION)
    yield Public(wsgi.Door(reading, Recorder(writing)))
    reading.close()
    writing.close()


@pytest.fixture
def letter(variant: Variant) -> Variant:
    variant.html, variant.text = HTML, ""
    variant.save()
    return variant


@pytest.fixture
def ada(letter: Variant) -> Profile:
    return make_profile("ada", email="ada@example.com", first_name="Ada", site="javascript:alert(1)")


@pytest.fixture
def sent(queue: Queue, mailbox: Mailbox, ada: Profile) -> Message:
    """A marketing email that is in Ada's mailbox, sent a minute ago."""
    event_type = factories.make_event_type()
    event = Event.objects.create(
        id=uuid7(),
        batch_id=1,
        source_id=1,
        event_type=event_type,
        kind=1,
        occurred_at=NOW,
        properties={"item": "a sweater"},
    )
    queue(ada, event_id=event.id, hops=2)
    delivery.take_batch(Channel.EMAIL, now=NOW)
    message = Message.objects.get()
    assert message.sent_at is not None
    message.sent_at -= timedelta(minutes=1)
    message.save()
    return message


def received(mailbox: Mailbox, address: str = "ada@example.com") -> dict[str, Any]:
    (letter,) = mailbox.json(f"/messages.json?to={address}&bodies=1")["messages"]
    return dict(letter)


def addresses(html: str) -> list[str]:
    return re.findall(r'(?:href|src)="([^"]*)"', html)


def stream() -> list[tuple[str, int, dict[str, Any]]]:
    """Let the stream step take what was stored; the events of our own: name, profile, properties."""
    take_batch(now=NOW)
    connection.close()
    found = []
    for event in Event.objects.filter(source_id=0).select_related("event_type").order_by("id"):
        history = ProfileEvent.objects.get(event_id=event.id)
        found.append((event.event_type.name, history.profile_id, event.properties))
    return found


def test_the_whole_way(public: Public, mailbox: Mailbox, sent: Message, ada: Profile) -> None:
    sale, item, site, leave, choose, pixel = addresses(received(mailbox)["html"])
    token = tokens.addresses(sent.pk).token
    base = tokens.public_url()
    assert [sale, item, site] == [f"{base}/t/c/{token}/{number}" for number in range(3)]
    assert pixel == f"{base}/t/o/{token}"
    assert leave == tokens.addresses(sent.pk).unsubscribe_url
    assert choose == f"{leave}/preferences"
    assert token not in leave, "a forwarded link of the other kind must not unsubscribe anybody"

    opened = public.get(pixel)
    assert (opened.status, opened.headers["Content-Type"], len(opened.body)) == (200, "image/gif", 43)
    assert opened.headers["Cache-Control"] == "no-store"
    clicked = public.get(sale)
    assert (clicked.status, clicked.headers["Location"], clicked.body) == (302, SHOP, b"")
    assert clicked.headers["Cache-Control"] == "no-store"

    about = {
        "message_id": str(sent.pk),
        "channel": "email",
        "content": "welcome",
        "version": 1,
        "variant": str(sent.variant_id),
        "treatment": "",
        "locale": "",
        "cause": "journey_instance",
        "cause_id": str(ada.pk),
        "origin_id": "1",
        "activity": "welcome",
    }
    by_person = {"is_machine": False, "machine_reason": "", "agent": "linux"}
    assert stream() == [
        (OPENED, ada.pk, {**about, **by_person}),
        (CLICKED, ada.pk, {**about, **by_person, "link": 0, "url": SHOP}),
    ]
    assert set(Event.objects.filter(source_id=0).values_list("hops", flat=True)) == {2}
    events = Event.objects.filter(source_id=0).order_by("id").values_list("occurred_at", flat=True)
    sent.refresh_from_db()
    assert [sent.opened_at, sent.clicked_at] == list(events)


def test_a_click_implies_an_open_and_the_first_of_each_stays(public: Public, sent: Message) -> None:
    token = tokens.addresses(sent.pk).token
    public.get(f"/t/c/{token}/0")
    stream()
    sent.refresh_from_db()
    first = sent.clicked_at
    assert sent.opened_at == first is not None
    public.get(f"/t/o/{token}")
    public.get(f"/t/c/{token}/0")
    stream()
    sent.refresh_from_db()
    assert sent.opened_at == sent.clicked_at == first


def test_a_link_with_liquid_is_rendered_for_the_person_of_today(
    public: Public, sent: Message, ada: Profile
) -> None:
    token = tokens.addresses(sent.pk).token
    assert public.get(f"/t/c/{token}/1").headers["Location"] == "https://shop.example/a+sweater/Ada", (
        "from the event and the profile"
    )
    survivor = make_profile(first_name="Countess")
    Profile.objects.filter(pk=ada.pk).update(merged_into=survivor.pk)
    assert public.get(f"/t/c/{token}/1").headers["Location"] == "https://shop.example/a+sweater/Countess"
    assert [profile_id for _, profile_id, _ in stream()] == [survivor.pk, survivor.pk]
    assert Link.objects.get(number=1).url.startswith("https://shop.example/{{ event.item")


def test_what_is_no_address_of_the_web_is_never_redirected_to(public: Public, sent: Message) -> None:
    answer = public.get(f"/t/c/{tokens.addresses(sent.pk).token}/2")
    assert answer.status == 404
    assert "Location" not in answer.headers
    assert b"This link leads nowhere" in answer.body
    assert b"javascript" not in answer.body
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"
    assert [name for name, *_ in stream()] == [CLICKED]


def test_a_forged_token_learns_nothing_and_leaves_nothing(
    public: Public, sent: Message, ada: Profile
) -> None:
    token = tokens.addresses(sent.pk).token
    leaving = tokens.addresses(sent.pk).unsubscribe_url.rpartition("/")[2]
    last = "A" if token[-1] != "A" else "B"
    for path in (
        f"/t/c/{token[:-1]}{last}/0",
        f"/t/c/{leaving}/0",
        f"/t/c/{tokens.addresses(sent.pk + 1).token}/0",
        f"/t/c/{token}/3",
        f"/t/c/{token}/99999",
        f"/t/c/{token}/-1",
        f"/t/c/{token}/٣",
        f"/t/c/{token}/0/x",
        f"/t/c/{token}",
        "/t/c//0",
        "/t/",
        "/t/x/y",
    ):
        answer = public.get(path)
        assert answer.status == 404, path
        assert b"This link is not known" in answer.body
        assert b"Ada" not in answer.body
        assert b"Harbour" not in answer.body
    for path in ("/t/o/nonsense", f"/t/o/{leaving}", f"/t/o/{tokens.addresses(sent.pk + 1).token}"):
        answer = public.get(path)
        assert (answer.status, answer.body) == (200, wsgi.PIXEL), "a pixel is never seen broken"
    assert stream() == []
    assert public.get(f"/t/c/{token}/0", method="POST").status == 405


def test_machines_are_marked_and_count_for_nobody(public: Public, sent: Message) -> None:
    token = tokens.addresses(sent.pk).token
    head = public.get(f"/t/c/{token}/0", method="HEAD")
    assert (head.status, head.headers["Location"], head.body) == (302, SHOP, b"")
    public.get(f"/t/o/{token}", method="HEAD")
    public.get(f"/t/o/{token}", agent="Mozilla/5.0")
    public.get(f"/t/c/{token}/0", agent="Barracuda/1")
    reasons = [properties["machine_reason"] for _, _, properties in stream()]
    assert reasons == ["head", "head", "apple_privacy", "scanner"]
    sent.refresh_from_db()
    assert (sent.opened_at, sent.clicked_at) == (None, None)


def test_a_click_within_a_second_of_sending_is_a_scanners(public: Public, sent: Message) -> None:
    token = tokens.addresses(sent.pk).token
    Message.objects.update(sent_at=sent.sent_at + timedelta(hours=1))  # type: ignore[operator]
    public.get(f"/t/c/{token}/0")
    Message.objects.update(sent_at=None, state=Message.State.SENDING)
    public.get(f"/t/c/{token}/0")
    Message.objects.update(state=Message.State.UNCERTAIN)
    public.get(f"/t/c/{token}/0")
    reasons = [properties["machine_reason"] for _, _, properties in stream()]
    assert reasons == ["before_sent", "before_sent", ""], "who clicks in an uncertain message has it"


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_a_burst_takes_back_the_click_that_began_it(
    public: Public, sent: Message, in_one_batch: bool
) -> None:
    token = tokens.addresses(sent.pk).token
    public.get(f"/t/c/{token}/0")
    if not in_one_batch:
        stream()
        sent.refresh_from_db()
        assert sent.clicked_at is not None
    public.get(f"/t/c/{token}/1")
    assert [properties["machine_reason"] for _, _, properties in stream()] == ["", "burst"]
    sent.refresh_from_db()
    assert (sent.opened_at, sent.clicked_at) == (None, None)


def test_a_burst_takes_back_no_open_that_was_there_before(public: Public, sent: Message) -> None:
    token = tokens.addresses(sent.pk).token
    public.get(f"/t/o/{token}")
    stream()
    sent.refresh_from_db()
    opened_at = sent.opened_at
    public.get(f"/t/c/{token}/0")
    public.get(f"/t/c/{token}/1")
    stream()
    sent.refresh_from_db()
    assert (sent.opened_at, sent.clicked_at) == (opened_at, None)
    assert opened_at is not None


def test_at_the_limit_of_hops_the_message_is_noted_all_the_same(public: Public, sent: Message) -> None:
    Message.objects.update(hops=django_settings.AJO_MAX_HOPS)
    public.get(f"/t/o/{tokens.addresses(sent.pk).token}")
    stream()
    sent.refresh_from_db()
    assert sent.opened_at is not None


def test_many_opens_cost_as_many_statements_as_one(public: Public, queue: Queue, mailbox: Mailbox) -> None:
    queue(*[make_profile() for _ in range(12)])
    delivery.take_batch(Channel.EMAIL, now=NOW)
    Message.objects.update(sent_at=NOW)
    counts = []
    messages = list(Message.objects.all())
    for some in (messages[:2], messages[2:]):
        for message in some:
            public.get(f"/t/o/{tokens.addresses(message.pk).token}")
        with count_statements() as seen:
            stream_only()
        counts.append(sum("UPDATE message m SET" in statement for statement in seen))
    assert counts == [1, 1]
    assert Message.objects.filter(opened_at=None).count() == 0


def stream_only() -> None:
    take_batch(now=NOW)


# --- the database is away ------------------------------------------------------------------------------------


class Away:
    """A pool, or a recorder, without a database."""

    def connection(self, timeout: float) -> Any:
        raise Unavailable("The database is away.")

    def store(self, events: Any) -> None:
        raise Unavailable("The database is away.")


@pytest.mark.parametrize("what", ["_pool", "_recorder"])
def test_without_the_database_pixels_are_answered_and_clicks_must_come_again(
    public: Public, sent: Message, what: str
) -> None:
    token = tokens.addresses(sent.pk).token
    setattr(public.door, what, Away())
    opened = public.get(f"/t/o/{token}")
    assert (opened.status, opened.body) == (200, wsgi.PIXEL)
    clicked = public.get(f"/t/c/{token}/0")
    assert (clicked.status, clicked.headers["Retry-After"]) == (503, "5")
    assert "Location" not in clicked.headers
    assert b"try again" in clicked.body
    assert stream() == []


def test_a_redirect_goes_out_after_the_event_is_committed(
    public: Public, sent: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    store = Recorder.store

    def spy(self: Recorder, events: Any) -> None:
        store(self, events)
        seen.append(Event.objects.filter(source_id=0).count())

    monkeypatch.setattr(Recorder, "store", spy)
    assert public.get(f"/t/c/{tokens.addresses(sent.pk).token}/0").status == 302
    assert seen == [1]


# --- leaving -------------------------------------------------------------------------------------------------


@pytest.fixture
def way_out(sent: Message) -> str:
    return tokens.addresses(sent.pk).unsubscribe_url.removeprefix(tokens.public_url())


@pytest.fixture
def stranger() -> Client:
    """Without a cookie, and strict about CSRF."""
    return Client(enforce_csrf_checks=True)


def consents() -> list[tuple[int, int, int]]:
    return list(Consent.objects.order_by("channel").values_list("profile_id", "channel", "state"))


OUT, IN = Consent.State.OPTED_OUT.value, Consent.State.OPTED_IN.value
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def test_mail_programs_are_told_how_to_unsubscribe_with_one_click(
    mailbox: Mailbox, sent: Message, way_out: str
) -> None:
    raw = mailbox.get(f"/messages/{received(mailbox)['id']}.eml").decode()
    assert f"List-Unsubscribe: <{tokens.public_url()}{way_out}>\r\n" in raw.replace("\r\n", "\n").replace(
        "\n", "\r\n"
    )
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in raw


def test_a_transactional_message_has_no_such_header(queue: Queue, mailbox: Mailbox, ada: Profile) -> None:
    queue(ada, message_class=MessageClass.TRANSACTIONAL)
    delivery.take_batch(Channel.EMAIL, now=NOW)
    raw = mailbox.get(f"/messages/{received(mailbox)['id']}.eml").decode()
    assert "List-Unsubscribe" not in raw


@pytest.mark.parametrize("method", ["get", "head", "options"])
@pytest.mark.parametrize("page", ["", "/preferences"])
def test_whoever_only_follows_the_link_changes_nothing(
    stranger: Client, way_out: str, method: str, page: str
) -> None:
    getattr(stranger, method)(way_out + page)
    getattr(stranger, method)(way_out + page + "?List-Unsubscribe=One-Click&action=unsubscribe")
    assert consents() == []
    assert stream() == []


def test_one_click_unsubscribes_and_withholds_what_is_queued(
    stranger: Client, way_out: str, sent: Message, ada: Profile, queue: Queue
) -> None:
    queue(ada, visit=2)
    queue(ada, visit=3, message_class=MessageClass.TRANSACTIONAL)
    for _ in range(2):
        response = stranger.post(way_out, ONE_CLICK)
        assert response.status_code == 200
    assert consents() == [(ada.pk, Channel.EMAIL, OUT)]
    assert Consent.objects.get().reason == f"One-click unsubscribe, message {sent.pk}"
    states = dict(Message.objects.values_list("visit", "state"))
    assert states == {
        1: Message.State.SENT,
        2: Message.State.WITHHELD,
        3: Message.State.QUEUED,
    }
    assert stream() == [
        (
            feedback.UNSUBSCRIBED,
            ada.pk,
            {"channel": "email", "message_id": str(sent.pk), "way": "one_click"},
        )
    ], "once, however often it is asked"
    assert Event.objects.get(source_id=0).hops == 2


def test_one_click_may_come_as_a_form_of_either_kind(stranger: Client, way_out: str) -> None:
    body = "List-Unsubscribe=One-Click"
    assert stranger.post(way_out, body, content_type="application/x-www-form-urlencoded").status_code == 200
    assert len(consents()) == 1


def test_the_page_asks_does_and_undoes(stranger: Client, way_out: str, ada: Profile) -> None:
    page = stranger.get(way_out)
    assert page.status_code == 200
    assert "Harbour &amp; Pine" in page.content.decode()
    assert "ada@example.com" not in page.content.decode(), (
        "whoever was forwarded the address must not learn it"
    )
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["X-Robots-Tag"] == "noindex, nofollow"
    assert not page.cookies
    done = stranger.post(way_out, {"action": "unsubscribe"})
    assert "You are unsubscribed" in done.content.decode()
    assert consents() == [(ada.pk, Channel.EMAIL, OUT)]
    assert "Undo" in stranger.get(way_out).content.decode()
    back = stranger.post(way_out, {"action": "resubscribe"})
    assert "You are subscribed again" in back.content.decode()
    assert consents() == [(ada.pk, Channel.EMAIL, IN)]
    assert [name for name, *_ in stream()] == [feedback.UNSUBSCRIBED, feedback.RESUBSCRIBED]


def test_a_post_that_says_nothing_known_changes_nothing(stranger: Client, way_out: str) -> None:
    assert stranger.post(way_out, {"a": "b"}).status_code == 400
    assert stranger.post(way_out + "/preferences", ONE_CLICK).status_code == 400
    assert stranger.put(way_out).status_code == 405
    assert consents() == []


def test_a_click_link_cannot_unsubscribe_anybody(stranger: Client, sent: Message) -> None:
    token = tokens.addresses(sent.pk).token
    answer = stranger.post(f"/u/{token}", ONE_CLICK)
    assert answer.status_code == 404
    assert "Harbour" not in answer.content.decode()
    assert stranger.get(f"/u/{token}/preferences").status_code == 404
    assert consents() == []


def test_whoever_was_merged_leaves_as_who_they_are_today(
    stranger: Client, way_out: str, ada: Profile
) -> None:
    survivor = make_profile()
    Profile.objects.filter(pk=ada.pk).update(merged_into=survivor.pk)
    stranger.post(way_out, ONE_CLICK)
    assert consents() == [(survivor.pk, Channel.EMAIL, OUT)]
    assert [profile_id for _, profile_id, _ in stream()] == [survivor.pk]


def test_the_preferences_are_those_channels_that_can_be_used(
    stranger: Client, way_out: str, ada: Profile
) -> None:
    ChannelConfiguration.objects.create(
        key="sms", name="SMS", channel=Channel.SMS, provider="smtp", sender_address="1"
    )
    ChannelConfiguration.objects.create(
        key="push", name="Push", channel=Channel.PUSH, provider="smtp", sender_address="1", is_active=False
    )
    services.resubscribe(profile_id=ada.pk, channel=Channel.SMS, reason="shop", now=NOW)
    page = stranger.get(way_out + "/preferences").content.decode()
    assert re.findall(r'value="(\d+)" checked', page) == [str(Channel.EMAIL.value), str(Channel.SMS.value)]
    assert "Push" not in page
    saved = stranger.post(way_out + "/preferences", {"action": "save", "channel": [str(Channel.SMS.value)]})
    assert "Your choice is saved." in saved.content.decode()
    assert re.findall(r'value="(\d+)" checked', saved.content.decode()) == [str(Channel.SMS.value)]
    assert consents() == [(ada.pk, Channel.EMAIL, OUT), (ada.pk, Channel.SMS, IN)]
    stranger.post(way_out + "/preferences", {"action": "save", "channel": ["1", "2", "99", "x"]})
    assert consents() == [(ada.pk, Channel.EMAIL, IN), (ada.pk, Channel.SMS, IN)]
    names = [name for name, *_ in stream()]
    assert names == [feedback.RESUBSCRIBED, feedback.UNSUBSCRIBED, feedback.RESUBSCRIBED], (
        "no change, no event"
    )


def test_the_web_application_sends_each_address_to_its_door(monkeypatch: pytest.MonkeyPatch) -> None:
    from ajo import wsgi as web

    monkeypatch.setattr(wsgi, "door", lambda: lambda environ, start_response: [b"tracking"])
    environ = {"PATH_INFO": "/t/o/x", "REQUEST_METHOD": "GET"}
    assert list(web.application(environ, lambda *_: lambda data: None)) == [b"tracking"]


# --- offers --------------------------------------------------------------------------------------------------


def test_a_click_on_an_offer_leads_to_its_page_and_counts_for_it_once(
    queue: Queue, service: Any, public: Public, variant: Variant, settings: Any
) -> None:
    first, second = make_offer("first", priority=2), make_offer("second")
    for offer in (first, second):
        Representation.objects.filter(offer=offer).update(
            link_url=f"https://shop.example/{offer.key}?a=1&b=2"
        )
    make_policy(
        make_strategy(first, second, method="learned", exploration=0.0, propensity_weight=0.0), items=2
    )
    variant.html = (
        '<p>{% offer "front-page" placement: "hero" %}<a href="{{ offer.link_url }}">{{ offer.key }}</a>{% endoffer %}'
        '<a href="{{ unsubscribe_url }}">Leave</a></p>'
    )
    variant.save()
    queue(make_profile("ada"))
    delivery.take_batch(Channel.EMAIL, now=NOW)
    Message.objects.update(sent_at=NOW)
    (call,) = service.calls
    body = call.body.replace(b"=\r\n", b"").replace(b"=3D", b"=").decode()
    paths = re.findall(r'href="([^"]*/t/c/[^"]*)"', body)
    assert [path.rpartition("/")[2] for path in paths] == ["0-0", "0-1"]

    answers = [public.get(paths[1]), public.get(paths[1])]

    assert {(one.status, one.headers["Location"]) for one in answers} == {
        (302, "https://shop.example/second?a=1&b=2")
    }
    for path in (paths[1][:-1] + "2", paths[1][:-3] + "7-0", paths[1][:-3] + "0-99"):
        assert public.get(path).status == 404
    while take_batch():
        pass
    clicked = Event.objects.filter(event_type__name=CLICKED)
    assert {(one.properties["offer"], one.properties["link"]) for one in clicked} == {("second", "0-1")}
    assert list(DecisionOutcome.objects.values_list("offer__key", "kind")) == [
        ("second", DecisionOutcome.Kind.CLICKED.value)
    ]
    assert sum(ModelStat.objects.filter(offer=second).values_list("r", flat=True)) == 1
    assert not ModelStat.objects.filter(offer=first).exists()


def test_a_machines_click_on_an_offer_teaches_nothing(
    queue: Queue, service: Any, public: Public, variant: Variant
) -> None:
    offer = make_offer("first")
    Representation.objects.update(link_url="https://shop.example/")
    make_policy(make_strategy(offer, method="learned"))
    variant.html = (
        '{% offer "front-page" placement: "hero" %}<a href="{{ offer.link_url }}">x</a>{% endoffer %}'
    )
    variant.save()
    queue(make_profile("ada"))
    delivery.take_batch(Channel.EMAIL, now=NOW)
    path = re.findall(rb'href=3D"([^"]*)"', service.calls[0].body.replace(b"=\r\n", b""))[0].decode()
    assert public.get(path, agent="python-requests/2.32").status == 302
    while take_batch():
        pass
    assert not DecisionOutcome.objects.exists()
