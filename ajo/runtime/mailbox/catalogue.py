"""What the mailbox can list and search: a summary of each kept message, and who received what.

Nothing is read while messages come in. A question brings the catalogue up to date first, in slices that leave
the listener room to answer, so that a load of a hundred thousand messages costs nothing until someone looks.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from ajo.runtime.mailbox import mime
from ajo.runtime.mailbox.store import Record, Store

_SLICE: Final = 200
_KEPT_PREVIEWS: Final = 2_000
_LOOKED_AT_FOR_PREVIEW: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Summary:
    """One line of a list; `envelope_from` is where bounces go, `sender` is what the From header says."""

    number: int
    received_at_us: int
    envelope_from: str
    recipients: tuple[str, ...]
    sender: str
    subject: str
    message_id: str
    size: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What a list shows of the body."""

    snippet: str
    has_html: bool


@dataclass(slots=True)
class Person:
    """One address (lower case) and the numbers of its messages, oldest first."""

    address: str
    numbers: deque[int] = field(default_factory=deque)


class Catalogue:
    """Summaries and people of one store; `catch_up` before asking."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._first = self._next = store.first
        self._summaries: deque[Summary] = deque()
        self._people: dict[str, Person] = {}
        self._previews: OrderedDict[int, Preview] = OrderedDict()

    async def catch_up(self) -> None:
        """Read the messages that came since the last call and forget those that were dropped."""
        self._forget()
        while self._next < self._store.next:
            for number in range(self._next, min(self._next + _SLICE, self._store.next)):
                record = self._store.read(number)
                assert record is not None
                self._add(record)
            self._next = number + 1
            await asyncio.sleep(0)
            self._forget()

    def messages(self, to: str, query: str, after: int) -> Iterable[Summary]:
        """Summaries newest first: numbers above `after`, received by `to`, with `query` in subject, sender,
        recipients or message id. Empty strings and 0 mean no limit."""
        if to:
            person = self._people.get(to.casefold())
            numbers: Iterable[int] = reversed(person.numbers) if person else ()
        else:
            numbers = range(self._next - 1, self._first - 1, -1)
        words = query.casefold().split()
        for number in numbers:
            if number <= after:
                return
            summary = self._summaries[number - self._first]
            if not words or _has_words(summary, words):
                yield summary

    def summary(self, number: int) -> Summary | None:
        """The summary of one message, or None when it is not here."""
        if not self._first <= number < self._next:
            return None
        return self._summaries[number - self._first]

    def log(self, after: int, limit: int) -> Iterable[Summary]:
        """Summaries oldest first, numbers above `after`, at most `limit`."""
        start = max(0, after + 1 - self._first)
        return islice(self._summaries, start, start + limit)

    def people(self) -> list[tuple[Person, Summary]]:
        """Every address with its newest message, the most recent first."""
        found = [
            (person, self._summaries[person.numbers[-1] - self._first]) for person in self._people.values()
        ]
        found.sort(key=lambda item: item[1].number, reverse=True)
        return found

    def preview(self, number: int) -> Preview:
        """The snippet of one message, kept for the next time."""
        preview = self._previews.get(number)
        if preview is None:
            record = self._store.read(number)
            reading = mime.read_message(record.content[:_LOOKED_AT_FOR_PREVIEW] if record else b"")
            preview = Preview(mime.snippet(reading), reading.html is not None)
            self._previews[number] = preview
            if len(self._previews) > _KEPT_PREVIEWS:
                self._previews.popitem(last=False)
        return preview

    def _add(self, record: Record) -> None:
        fields = mime.read_fields(record.content)
        self._summaries.append(
            Summary(
                number=record.number,
                received_at_us=record.received_at_us,
                envelope_from=record.sender,
                recipients=record.recipients,
                sender=fields.sender or record.sender,
                subject=fields.subject,
                message_id=fields.message_id,
                size=len(record.content),
            )
        )
        for address in _people_of(record.recipients):
            self._people.setdefault(address, Person(address)).numbers.append(record.number)

    def _forget(self) -> None:
        while self._summaries and self._first < self._store.first:
            summary = self._summaries.popleft()
            self._first += 1
            self._previews.pop(summary.number, None)
            for address in _people_of(summary.recipients):
                person = self._people[address]
                person.numbers.popleft()
                if not person.numbers:
                    del self._people[address]
        if not self._summaries:
            self._first = self._next = max(self._next, self._store.first)


def _people_of(recipients: tuple[str, ...]) -> set[str]:
    return {recipient.casefold() for recipient in recipients}


def _has_words(summary: Summary, words: list[str]) -> bool:
    text = " ".join((summary.subject, summary.sender, *summary.recipients, summary.message_id)).casefold()
    return all(word in text for word in words)
