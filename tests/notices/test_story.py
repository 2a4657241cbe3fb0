"""The closed ride: somebody of operations fills in a form, looks at it, sends it, watches it, gives the all-clear."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from ajo.core.models import AuditEvent
from campaigns import runs
from campaigns.models import CampaignRun, Notice, NoticeSending
from channels.models import Message, Suppression
from profiles.models import Channel
from tests.campaigns.helpers import freeze, make_list, recipients, send
from tests.channels.conftest import FakeService
from tests.factories import NOW
from tests.notices.conftest import Park
from tests.support import count_statements

pytestmark = pytest.mark.django_db

FILLED_IN = {"notice-ride": "Sky Coaster", "notice-until": "17:30"}


def check_url(**values: str) -> str:
    query = "&".join(f"{name}={value}" for name, value in (FILLED_IN | values).items())
    return f"{reverse('notice-check', args=['ride-closed'])}?{query}"


def text_of(answer: Any) -> str:
    """The words of a page, as somebody reads them."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())))


def form_id(answer: Any) -> str:
    found = re.search(r'name="form_id" value="([^"]+)"', answer.content.decode())
    assert found, "There is nothing to send on this page."
    return found[1]


def send_it(client: Client, **values: str) -> CampaignRun:
    page = client.get(check_url(**values))
    answer = client.post(check_url(**values), {"form_id": form_id(page)})
    assert answer.status_code == 302, text_of(answer)
    return NoticeSending.objects.latest("pk").run


def deliver() -> None:
    freeze()
    send()
    runs.settle_runs(NOW)


@pytest.fixture
def ola(client: Client, park: Park) -> Client:
    client.force_login(park.operator)
    return client


def test_the_closed_ride(ola: Client, park: Park, service: FakeService) -> None:
    assert "A ride is closed" in text_of(ola.get("/notices/"))
    form = text_of(ola.get(reverse("notice-compose", args=["ride-closed"])))
    assert "Which ride? " in form
    assert "Log Flume" in form

    page = ola.get(check_url())
    assert "5 people get it now" in text_of(page)
    assert "The Sky Coaster is closed until 17:30." in unescape(page.content.decode())
    assert "Send to 5 people" in text_of(page)
    assert not NoticeSending.objects.exists()

    answer = ola.post(check_url(), {"form_id": form_id(page)})
    sending = NoticeSending.objects.get()
    assert answer["Location"] == reverse("notice-sending", args=[sending.pk])
    assert (sending.fields, sending.sent_by) == ({"ride": "Sky Coaster", "until": "17:30"}, park.operator)

    deliver()
    watched = text_of(ola.get(answer["Location"]))
    assert "Finished 100 % 5 of 5 sent" in watched
    assert recipients(sending.run) == [visitor.pk for visitor in park.visitors]

    before = recipients(sending.run)
    all_clear = reverse("notice-all-clear", args=[sending.pk])
    page = ola.get(all_clear)
    assert "5 people got the notice and get this too" in text_of(page)
    assert "The Sky Coaster is open again." in unescape(page.content.decode())
    ola.post(all_clear, {"form_id": form_id(page)})
    deliver()

    over = NoticeSending.objects.get(all_clear_of=sending)
    assert recipients(over.run) == before
    assert "The all-clear is given." in text_of(ola.get(reverse("notice-sending", args=[sending.pk])))
    history = text_of(ola.get("/notices/"))
    assert "All-clear: A ride is closed" in history
    assert "by ola" in history


def test_the_all_clear_goes_to_exactly_those_who_got_the_notice(
    ola: Client, park: Park, service: FakeService
) -> None:
    """Not to who was suppressed then, not to who came later; also to who left meanwhile."""
    from profiles.audiences import services as audiences
    from tests.factories import make_profile

    silent, leaver = park.visitors[0], park.visitors[1]
    Suppression.objects.create(channel=Channel.EMAIL, address=silent.attributes["email"])
    first = send_it(ola)
    deliver()
    Suppression.objects.all().delete()
    newcomer = make_profile()
    members = [visitor.pk for visitor in park.visitors if visitor != leaver] + [newcomer.pk]
    audiences.replace_list(park.notice.audience, members, now=NOW)

    all_clear = reverse("notice-all-clear", args=[first.sending.pk])
    page = ola.get(all_clear)
    assert "4 people got the notice" in text_of(page)
    ola.post(all_clear, {"form_id": form_id(page)})
    deliver()

    reached = [visitor.pk for visitor in park.visitors[1:]]
    assert recipients(CampaignRun.objects.get(kind="all_clear")) == reached


# --- sent once -------------------------------------------------------------------------------------------------


def test_a_second_click_finds_the_first_sending(ola: Client, park: Park) -> None:
    page = ola.get(check_url())
    answers = [ola.post(check_url(), {"form_id": form_id(page)}) for _ in range(3)]
    assert NoticeSending.objects.count() == CampaignRun.objects.count() == 1
    assert {answer["Location"] for answer in answers} == {
        reverse("notice-sending", args=[NoticeSending.objects.get().pk])
    }
    assert AuditEvent.objects.filter(action="send_notice").count() == 1


def test_a_second_click_on_the_all_clear_finds_the_first(
    ola: Client, park: Park, service: FakeService
) -> None:
    first = send_it(ola).sending
    deliver()
    url = reverse("notice-all-clear", args=[first.pk])
    pages = [ola.get(url), ola.get(url)]  # two tabs, so two forms
    for page in (*pages, pages[0]):
        ola.post(url, {"form_id": form_id(page)})
    assert NoticeSending.objects.filter(all_clear_of=first).count() == 1
    assert ola.get(url)["Location"] == reverse("notice-sending", args=[first.pk])


@pytest.mark.django_db(transaction=True)
def test_clicks_at_the_same_time_send_once(client: Client, make_park: Callable[..., Park]) -> None:
    park = make_park(2)
    client.force_login(park.operator)
    values = {"form_id": form_id(client.get(check_url()))}
    cookies = client.cookies

    def click(_: int) -> int:
        mine = Client()
        mine.cookies = cookies
        try:
            return mine.post(check_url(), values).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(click, range(8))) == {302}
    assert NoticeSending.objects.count() == CampaignRun.objects.count() == 1


def test_another_form_is_another_sending_and_the_page_warns_of_it(ola: Client, park: Park) -> None:
    send_it(ola)
    page = ola.get(check_url())
    assert "Sent already 0 minutes ago, by ola." in text_of(page)
    ola.post(check_url(), {"form_id": form_id(page)})
    assert NoticeSending.objects.count() == 2


def test_nothing_is_sent_by_looking(ola: Client, park: Park) -> None:
    for page in ("notice-compose", "notice-check"):
        ola.get(reverse(page, args=["ride-closed"]), FILLED_IN)
    ola.post(check_url(), {})  # no form id
    ola.post(check_url(), {"form_id": "7"})
    assert not NoticeSending.objects.exists()
    assert not Message.objects.exists()


# --- the form --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"notice-ride": ""}, "Fill in “Which ride?”"),
        ({"notice-ride": "The Moon"}, "Choose one of the list for “Which ride?”"),
        ({"notice-until": "soon"}, "Give “Closed until” as a time of day, such as 17:30."),
        ({"notice-minutes": "many"}, "Give “Minutes to the next show” as a number"),
        ({"notice-note": "x" * 41}, "at most 40 characters"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_can_be_sent(
    ola: Client, park: Park, values: dict[str, str], said: str
) -> None:
    answer = ola.get(check_url(**values))
    assert answer.status_code == 422
    assert said in text_of(answer)
    assert ola.post(check_url(**values), {"form_id": str(UUID(int=1))}).status_code == 422
    assert not NoticeSending.objects.exists()


def test_what_was_filled_in_becomes_the_context_of_every_message(ola: Client, park: Park) -> None:
    run = send_it(ola, **{"notice-minutes": "15", "notice-note": "<b>Sorry</b> {{ profile.email }}"})
    freeze()
    expected = {
        "ride": "Sky Coaster", "until": "17:30", "minutes": 15, "note": "<b>Sorry</b> {{ profile.email }}"
    }  # fmt: skip
    contexts = [message.context for message in Message.objects.filter(cause_id=run.pk)]
    assert contexts == [expected] * 5


def test_what_somebody_types_stays_text(ola: Client, park: Park) -> None:
    """Neither the preview nor the page lets it become markup or Liquid."""
    page = ola.get(check_url(**{"notice-note": "<img src=x> {{ profile.email }}"})).content.decode()
    shown = unescape(re.search(r'srcdoc="([^"]*)"', page)[1])  # type: ignore[index]
    assert "&lt;img src=x&gt; {{ profile.email }}" in shown
    assert "<img src=x>" not in page


def test_those_who_go_back_find_what_they_had_filled_in(ola: Client, park: Park) -> None:
    page = ola.get(check_url(**{"notice-note": "Sorry"})).content.decode()
    back = unescape(re.search(r'class="ops-back" href="([^"]+)"', page)[1])  # type: ignore[index]
    form = ola.get(back).content.decode()
    assert 'value="Sorry"' in form
    assert 'value="17:30"' in form
    assert '<option value="Sky Coaster" selected>' in form


# --- what is on the pages --------------------------------------------------------------------------------------


def test_the_page_says_who_will_not_get_it_and_why(ola: Client, park: Park) -> None:
    Suppression.objects.create(channel=Channel.EMAIL, address=park.visitors[0].attributes["email"])
    park.notice.exclusions.add(make_list("staff", park.visitors[1:2]))
    page = text_of(ola.get(check_url()))
    assert "3 people get it now" in page
    assert "In-The-Park, without Staff" in page
    assert "1 person does not" in page


def test_a_notice_that_reaches_nobody_cannot_be_sent(ola: Client, park: Park) -> None:
    park.notice.exclusions.add(make_list("everybody", park.visitors))
    page = ola.get(check_url())
    assert "0 people get it now" in text_of(page)
    assert "disabled" in page.content.decode()


def test_words_that_are_not_published_are_said_before_and_refused_after(ola: Client, park: Park) -> None:
    page = ola.get(check_url())
    park.notice.content.versions.update(state="draft")
    assert "are not published yet" in text_of(ola.get(check_url()))
    answer = ola.post(check_url(), {"form_id": form_id(page)}, follow=True)
    assert "has no published version" in text_of(answer)
    assert not NoticeSending.objects.exists()


def test_it_can_be_watched_and_stopped_on_its_way(ola: Client, park: Park, service: FakeService) -> None:
    run = send_it(ola)
    page = ola.get(reverse("notice-sending", args=[run.sending.pk]))
    assert "Collecting recipients" in text_of(page)
    assert "hx-trigger" in page.content.decode()
    freeze()
    assert "Waiting 5" in text_of(ola.get(reverse("notice-progress", args=[run.sending.pk])))

    answer = ola.post(reverse("notice-stop", args=[run.sending.pk]), follow=True)
    assert "Stopped. Nobody else gets it." in text_of(answer)
    send()
    assert set(Message.objects.values_list("state", flat=True)) == {Message.State.WITHHELD}
    part = ola.get(reverse("notice-progress", args=[run.sending.pk]))
    assert "0 of 5 sent" in text_of(part)
    assert "hx-trigger" not in part.content.decode()
    assert "Give the all-clear" not in text_of(part)  # nobody was told
    again = ola.post(reverse("notice-stop", args=[run.sending.pk]), follow=True)
    assert "cannot be stopped" in text_of(again)


def test_looking_costs_the_same_for_two_and_for_two_hundred(
    client: Client, make_park: Callable[..., Park]
) -> None:
    park = make_park(2)
    client.force_login(park.operator)
    run = send_it(client)
    freeze()
    pages = [check_url(), reverse("notice-progress", args=[run.sending.pk]), "/notices/"]
    seen = []
    for _ in range(2):
        with count_statements() as statements:
            for page in pages:
                client.get(page)
        seen.append(len(statements))
        from profiles.audiences import services as audiences
        from tests.campaigns.helpers import make_people

        audiences.replace_list(park.notice.audience, [each.pk for each in make_people(200)], now=NOW)
    assert seen[0] == seen[1]


def test_every_sending_is_on_the_trail(ola: Client, park: Park, service: FakeService) -> None:
    run = send_it(ola)
    deliver()
    url = reverse("notice-all-clear", args=[run.sending.pk])
    ola.post(url, {"form_id": form_id(ola.get(url))})
    ola.post(reverse("notice-stop", args=[NoticeSending.objects.latest("pk").pk]))
    lines = AuditEvent.objects.filter(
        user=park.operator, action__in=["send_notice", "send_all_clear", "stop_run"]
    )
    told, over, stopped = lines.order_by("pk")
    assert (told.action, told.object_key) == ("send_notice", "ride-closed")
    assert told.data["fields"] == {"ride": "Sky Coaster", "until": "17:30"}
    assert told.data["reach"] == over.data["reach"] == 5
    assert over.action == "send_all_clear"
    assert stopped.action == "stop_run"


def test_a_notice_that_is_not_ready_is_not_there(ola: Client, park: Park) -> None:
    Notice.objects.update(is_ready=False)
    assert "A ride is closed" not in text_of(ola.get("/notices/"))
    assert ola.get(reverse("notice-compose", args=["ride-closed"])).status_code == 404
    assert ola.get(check_url()).status_code == 404
    assert ola.post(check_url(), {"form_id": str(UUID(int=1))}).status_code == 404
