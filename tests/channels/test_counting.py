"""After any history, every number of a report equals a count over the messages."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from django.db import connection, transaction

from ajo.lib import doorbell, sql
from ajo.lib.ids import uuid7
from channels import counting, delivery, services, tasks
from channels.models import (
    CauseKind,
    Message,
    MessageClass,
    MessageCount,
    MessageCountDelta,
    MessageMark,
    SendHold,
    Suppression,
)
from channels.providers.base import Outgoing, Receipt, Verdict
from channels.providers.smtp import SmtpProvider
from channels.tracking import feedback
from profiles.consumers import StreamEvent
from profiles.models import Channel, Consent, Profile, Source
from profiles.services import set_consent
from tests.factories import NOW, make_configuration, make_event_type, make_profile, make_variant
from tests.support import count_statements, wait_until

pytestmark = pytest.mark.django_db

State, Mark = Message.State, MessageMark
Queue = Callable[..., None]
Numbers = dict[tuple[Any, ...], int]

ACCEPTED = {State.SENT, State.DELIVERED, State.BOUNCED, State.COMPLAINED}
TIMES = {
    Mark.TARGETED: "created_at",
    Mark.SENT: "sent_at",
    Mark.OPENED: "opened_at",
    Mark.OPENED_BY_MACHINE: "opened_by_machine_at",
    Mark.CLICKED: "clicked_at",
    Mark.CLICKED_BY_MACHINE: "clicked_by_machine_at",
    Mark.UNSUBSCRIBED: "unsubscribed_at",
    Mark.CONVERTED: "converted_at",
}


def marks_of(message: Message) -> Iterator[tuple[Mark, str, date | None]]:
    """The oracle: (mark, reason, day) of one row, written down once more in another language."""
    state = State(message.state)
    for mark, field in TIMES.items():
        at: datetime | None = getattr(message, field)
        if (mark is Mark.SENT and state in ACCEPTED) or (mark is not Mark.SENT and at):
            assert at is not None
            yield mark, "", at.astimezone(UTC).date()
    if state in {State.DELIVERED, State.COMPLAINED}:
        yield Mark.DELIVERED, "", None
    if state in {State.BOUNCED, State.COMPLAINED, State.EXPIRED, State.UNCERTAIN, State.QUARANTINED}:
        yield Mark(state.value), "", None
    if state in {State.WITHHELD, State.FAILED}:
        assert message.reason_code
        yield Mark(state.value), message.reason_code, None


def counted_over_rows() -> Numbers:
    numbers: Counter[tuple[Any, ...]] = Counter()
    for message in Message.objects.all():
        origin = (
            *(message.cause_kind, message.origin_id, message.activity),
            *(message.channel, message.variant_id),
        )
        for mark, code, day in marks_of(message):
            numbers[*origin, mark, code, day] += 1
    return dict(numbers)


def kept() -> Numbers:
    """What the counts and the deltas say; a mark without a time of its own whatever its day."""
    numbers: Counter[tuple[Any, ...]] = Counter()
    for model in (MessageCount, MessageCountDelta):
        for row in model.objects.all():
            day = row.day if row.mark in TIMES else None
            origin = (row.cause_kind, row.origin_id, row.activity, row.channel, row.variant_id)
            numbers[*origin, row.mark, row.reason_code, day] += row.n
    return {key: n for key, n in numbers.items() if n}


class History:
    """Random things that happen to the messages of a few people."""

    def __init__(self, seed: int, patch: pytest.MonkeyPatch) -> None:
        self.chance = random.Random(seed)
        self.now = NOW
        self.profiles = [make_profile() for _ in range(6)]
        self.configuration, self.variants = make_configuration(), [make_variant("a"), make_variant("b")]
        self.types = {
            name: make_event_type(name).pk
            for name in (feedback.OPENED, feedback.CLICKED, feedback.UNSUBSCRIBED)
        }
        patch.setattr(SmtpProvider, "send", lambda _, batch: [self.answer(each) for each in batch])

    def answer(self, each: Outgoing) -> Receipt:
        verdicts = [*[Verdict.ACCEPTED] * 6, Verdict.REFUSED, Verdict.DEFERRED, Verdict.UNKNOWN]
        return Receipt(each.message_id, self.chance.choice(verdicts), detail="So it is.")

    def live(self, steps: int) -> None:
        happenings = [
            *[self.queue] * 4,
            *[self.send] * 4,
            *[self.feed_back] * 4,
            *[self.hear_from_provider] * 2,
            *(self.crash, self.opt_out, self.suppress, self.stop, self.merge, self.withhold),
            *(self.fold, self.convert, self.quarantine, self.hold),
        ]
        for _ in range(steps):
            self.now += timedelta(hours=self.chance.randrange(30))
            self.chance.choice(happenings)()

    def queue(self) -> None:
        kinds = list(CauseKind)
        for profile in self.chance.sample(self.profiles, 4):
            draft = delivery.Draft(
                profile_id=profile.pk,
                cause_kind=self.chance.choice(kinds),
                cause_id=self.chance.randrange(1, 4),
                activity=self.chance.choice(["", "mail"]),
                visit=self.chance.randrange(1, 4),
                channel=Channel.EMAIL,
                origin_id=self.chance.randrange(1, 3),
                configuration_id=self.configuration.pk,
                variant_id=self.chance.choice(self.variants).pk,
                message_class=self.chance.choice(list(MessageClass)),
                expires_at=self.now + timedelta(hours=20) if self.chance.random() < 0.3 else None,
                context={"x": "{{" if self.chance.random() < 0.1 else "y"},
            )
            delivery.enqueue([draft], self.now)

    def send(self) -> None:
        delivery.take_batch(Channel.EMAIL, now=self.now + timedelta(hours=3))

    def crash(self) -> None:
        """The process dies in the call and its lease runs out."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SmtpProvider, "send", self.die)
            try:
                self.send()
            except KeyboardInterrupt:
                pass
        Message.objects.exclude(lease_until=None).update(lease_until=NOW - timedelta(days=1))
        self.now += timedelta(days=1)
        self.send()

    def die(self, *_: Any) -> Any:
        raise KeyboardInterrupt

    def feed_back(self) -> None:
        events = []
        for message in self.chance.sample(list(Message.objects.all()), min(3, Message.objects.count())):
            name = self.chance.choice(list(self.types))
            reason = self.chance.choice(["", "", "scanner", "burst"])
            properties = {
                "message_id": str(message.pk),
                "is_machine": bool(reason),
                "machine_reason": reason if name == feedback.CLICKED or reason != "burst" else "",
            }
            at = self.now - timedelta(seconds=self.chance.choice([0, 1, 90_000]))
            events.append(
                StreamEvent(
                    uuid7(), 1, Source.OWN, self.types[name], 1, 0, at, at, message.profile_id, json.dumps(properties)
                )
            )  # fmt: skip
        feedback.consume(events, self.now)

    def hear_from_provider(self) -> None:
        messages = list(Message.objects.filter(state__in=ACCEPTED))
        for message in self.chance.sample(messages, min(4, len(messages))):
            message.state = self.chance.choice([State.DELIVERED, State.BOUNCED, State.COMPLAINED])
            message.save(update_fields=["state"])

    def convert(self) -> None:
        ids = [*Message.objects.filter(state__in=ACCEPTED).values_list("pk", flat=True)]
        Message.objects.filter(pk__in=ids[:2]).update(converted_at=self.now)

    def opt_out(self) -> None:
        set_consent(
            profile_ids=[self.chance.choice(self.profiles).pk],
            channel=Channel.EMAIL,
            state=self.chance.choice([Consent.State.OPTED_OUT, Consent.State.OPTED_IN]),
            reason="",
            now=self.now,
        )

    def suppress(self) -> None:
        services.suppress(
            channel=Channel.EMAIL, address=self.chance.choice(self.profiles).attributes["email"]
        )
        if self.chance.random() < 0.7:
            Suppression.objects.all().delete()

    def stop(self) -> None:
        kind = self.chance.choice([CauseKind.JOURNEY_INSTANCE, CauseKind.CAMPAIGN_RUN])
        delivery.withhold_origin(cause_kind=kind, origin_id=1, reason="It was stopped.")

    def withhold(self) -> None:
        delivery.withhold_queued(
            [self.chance.choice(self.profiles).pk], reason="Somebody said so.", code=Message.Reason.REPEATED
        )

    def quarantine(self) -> None:
        ids = [*Message.objects.filter(state=State.QUEUED).values_list("pk", flat=True)]
        delivery.outbox.quarantine(ids[:1])

    def hold(self) -> None:
        hold = SendHold.objects.create(scope=SendHold.Scope.EVERYTHING, reason="Wait.")
        self.send()
        hold.delete()

    def merge(self) -> None:
        if len(self.profiles) > 4:
            loser = self.profiles.pop()
            survivor = self.chance.choice(self.profiles)
            Profile.objects.filter(pk=loser.pk).update(merged_into=survivor.pk)
            with sql.unit_of_work() as cur:
                delivery.move_merged(cur, [(loser.pk, survivor.pk)], self.now)

    def fold(self) -> None:
        counting.fold_message_counts(limit=self.chance.choice([1, 3, 1_000]))


@pytest.mark.parametrize("seed", range(6))
def test_every_number_equals_a_count_over_the_messages(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(seed, monkeypatch)
    for _ in range(10):
        history.live(12)
        assert kept() == counted_over_rows()
    while counting.fold_message_counts():
        pass
    assert not MessageCountDelta.objects.exists()
    assert kept() == counted_over_rows()
    worth_it = {
        Mark.SENT,
        Mark.BOUNCED,
        Mark.WITHHELD,
        Mark.FAILED,
        Mark.UNCERTAIN,
        Mark.OPENED,
        Mark.CLICKED,
    }
    assert {key[5] for key in kept()} >= worth_it


def plant_a_trigger_that_forgets_what_was(patch: pytest.MonkeyPatch) -> None:
    """A late bounce, or a click that a burst takes back, then leaves what had been counted before."""
    text = import_module("channels.migrations.0008_count_messages").SQL
    start = text.index("CREATE FUNCTION count_changed_messages")
    function = text[start : text.index("CREATE TRIGGER")].replace("CREATE", "CREATE OR REPLACE")
    assert "SELECT -1 AS sign" in function
    with connection.cursor() as cursor:
        cursor.execute(function.replace("SELECT -1 AS sign", "SELECT 0 AS sign"))


def plant_a_fold_that_counts_deltas(patch: pytest.MonkeyPatch) -> None:
    assert "sum(n) FROM taken" in counting._FOLD
    patch.setattr(counting, "_FOLD", counting._FOLD.replace("sum(n) FROM taken", "count(*) FROM taken"))


@pytest.mark.parametrize("plant", [plant_a_trigger_that_forgets_what_was, plant_a_fold_that_counts_deltas])
def test_a_planted_bug_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    history = History(1, monkeypatch)
    history.live(120)
    assert kept() != counted_over_rows()


def test_the_fence_appends_nothing_and_a_batch_a_row_a_mark(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(*[make_profile() for _ in range(30)])
    assert list(MessageCountDelta.objects.values_list("mark", "n")) == [(Mark.TARGETED, 30)]
    monkeypatch.setattr(
        SmtpProvider, "send", lambda _, batch: [Receipt(each.message_id, Verdict.ACCEPTED) for each in batch]
    )
    with count_statements() as seen:
        delivery.take_batch(Channel.EMAIL, now=NOW)
    assert not any("message_count" in statement for statement in seen), "the triggers count"
    assert list(MessageCountDelta.objects.order_by("id").values_list("mark", "n")) == [
        (Mark.TARGETED, 30),
        (Mark.SENT, 30),
    ]


def test_what_waits_is_counted_only_as_targeted(queue: Queue) -> None:
    queue(make_profile())
    Message.objects.update(attempt=3, reason="The service is away.")
    assert kept() == counted_over_rows()
    assert [key[5] for key in kept()] == [Mark.TARGETED]


def test_the_fold_takes_so_many_at_a_time_and_rings_again(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for visit in range(3):
        queue(make_profile(), visit=visit)
    assert counting.fold_message_counts(limit=2) == 2
    assert MessageCount.objects.get().n == 2
    rung: list[str] = []
    monkeypatch.setattr(doorbell, "ring", rung.append)
    tasks.fold_message_counts()
    assert (MessageCount.objects.get().n, rung) == (3, [])


@pytest.mark.django_db(transaction=True)
def test_folds_and_senders_that_meet_lose_nothing(queue: Queue) -> None:
    people = [make_profile() for _ in range(4)]
    done = threading.Event()

    def fold() -> None:
        while not done.is_set() or counting.fold_message_counts(limit=5):
            counting.fold_message_counts(limit=5)
        connection.close()

    def write(number: int) -> None:
        for visit in range(40):
            queue(people[number], visit=visit)
            with transaction.atomic():
                Message.objects.filter(visit=visit, profile=people[number]).update(
                    state=State.SENT, sent_at=NOW
                )
        connection.close()

    folds = [threading.Thread(target=fold) for _ in range(2)]
    writers = [threading.Thread(target=write, args=[number]) for number in range(4)]
    for thread in [*folds, *writers]:
        thread.start()
    for thread in writers:
        thread.join(30)
    done.set()
    for thread in folds:
        thread.join(30)
    wait_until(lambda: not MessageCountDelta.objects.exists(), what="the folds to be through")
    assert kept() == counted_over_rows()
    assert sum(row.n for row in MessageCount.objects.filter(mark=Mark.SENT)) == 160
