"""From the outbox to a real mail server and back: the mailbox process, with its scripted bad behaviour."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from channels import delivery, tasks
from channels.models import ChannelConfiguration, Message, MessageDue, Variant
from profiles.models import Channel
from tests.factories import NOW, make_profile
from tests.mailbox import Mailbox

pytestmark = pytest.mark.django_db(transaction=True)

Queue = Callable[..., None]
State = Message.State


def send() -> int:
    return delivery.take_batch(Channel.EMAIL, now=NOW)


def state_of(address: str) -> str:
    return State(Message.objects.get(address=address).state).label


def test_a_personal_email_arrives(queue: Queue, mailbox: Mailbox, variant: Variant) -> None:
    variant.html = "<p>Grüße, {{ profile.first_name | default: 'friend' }}!</p>"
    variant.text = ""
    variant.save()
    queue(make_profile(email="ada@example.com", first_name="Ada <3"), make_profile(email="bob@example.com"))
    assert send() == 2
    (to_ada,) = mailbox.json("/messages.json?to=ada@example.com&bodies=1")["messages"]
    assert to_ada["subject"] == "Welcome, Ada <3"
    assert to_ada["html"].startswith("<p>Grüße, Ada &lt;3!</p><img src=")
    assert to_ada["text"].strip() == "Grüße, Ada <3!"
    (to_bob,) = mailbox.json("/messages.json?to=bob@example.com&bodies=1")["messages"]
    assert to_bob["subject"] == "Welcome, friend"
    message = Message.objects.get(address="ada@example.com")
    assert message.provider_id.startswith("250 ")
    assert to_ada["message_id"].strip("<>").startswith(f"m{message.pk}.")


def test_each_answer_of_the_server_becomes_its_state(queue: Queue, mailbox: Mailbox) -> None:
    tags = {
        "": "Sent",
        "+reject550": "Failed",
        "+content554": "Failed",
        "+tempfail451": "Queued",
        "+content451": "Queued",
        "+drop-before-data": "Queued",
        "+drop-after-data": "Uncertain",
    }
    addresses = {
        f"{name}{tag}@example.com": state for tag, state in tags.items() for name in ("ada", "bob", "eve")
    }
    queue(*[make_profile(email=address) for address in addresses])
    send()
    assert {address: state_of(address) for address in addresses} == addresses
    received = [line["rcpt"][0] for line in mailbox.log()]
    assert sorted(received) == sorted(a for a, state in addresses.items() if state in {"Sent", "Uncertain"})
    refused = Message.objects.get(address="ada+reject550@example.com")
    assert refused.reason.startswith("550 5.1.1 ")
    assert MessageDue.objects.count() == 9


def test_what_was_put_off_is_sent_later_with_the_same_message_id(queue: Queue, mailbox: Mailbox) -> None:
    queue(make_profile(email="ada+tempfail451-2@example.com"))
    for attempt in range(3):
        assert state_of_only() == ("Queued", attempt)
        MessageDue.objects.update(due_at=NOW)
        send()
    assert state_of_only() == ("Sent", 3)
    assert len(mailbox.log()) == 1


def state_of_only() -> tuple[str, int]:
    message = Message.objects.get()
    return State(message.state).label, message.attempt


def test_a_server_that_is_silent_costs_one_message(
    queue: Queue, mailbox: Mailbox, configuration: ChannelConfiguration
) -> None:
    configuration.settings = {"timeout": 1.0}
    configuration.save()
    queue(*[make_profile(email=f"person{number}@example.com") for number in range(20)])
    queue(make_profile(email="ada+hang@example.com"))
    send()
    assert state_of("ada+hang@example.com") == "Uncertain"
    MessageDue.objects.update(due_at=NOW)
    send()
    assert Message.objects.filter(state=State.SENT).count() == 20
    assert len(mailbox.log()) == 20


def test_an_outage_of_the_server_is_a_delay(queue: Queue, mailbox: Mailbox, settings: Any) -> None:
    queue(make_profile())
    up = settings.AJO_MAILBOX_SMTP
    settings.AJO_MAILBOX_SMTP = "127.0.0.1:1"
    send()
    message = Message.objects.get()
    assert (message.state, message.attempt) == (State.QUEUED, 0)
    assert "cannot be reached" in message.reason
    settings.AJO_MAILBOX_SMTP = up
    delivery.sender.close_providers()
    MessageDue.objects.update(due_at=NOW)
    send()
    assert state_of_only() == ("Sent", 1)


def test_an_installation_without_a_mail_server_says_so(queue: Queue, settings: Any) -> None:
    settings.AJO_MAILBOX_SMTP = ""
    queue(make_profile())
    send()
    assert Message.objects.get().reason.endswith("this installation has no mailbox. Give it a host.")


def test_the_task_drains_the_lane(queue: Queue, mailbox: Mailbox) -> None:
    queue(*[make_profile() for _ in range(70)])
    tasks.drain_email()
    assert Message.objects.filter(state=State.SENT).count() == 70
    assert len(mailbox.log()) == 70
