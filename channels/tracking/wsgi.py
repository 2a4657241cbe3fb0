"""The doors that opens and clicks come through: a WSGI application in front of Django, like the ingest door.

What is answered is stored: a redirect goes out after the click's event is committed. The pixel is answered whatever
happens, for a broken image would be seen.
"""

from __future__ import annotations

import base64
import functools
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIEnvironment

import msgspec
from django.utils.translation import gettext as _

from ajo.lib.pool import HotPool, Unavailable, unavailable_when_lost
from channels.liquid import decode_values
from channels.models import Message
from channels.tracking import feedback, links, machines, pages, tokens
from profiles.ingest.writer import SESSION
from profiles.own_events import Recorder

logger = logging.getLogger(__name__)

PREFIX: Final = "/t/"
POOL_SIZE: Final = 4
_LOOKUP_SECONDS: Final = 2.0
_MAX_LINK: Final = 32_767
_OFFER: Final = re.compile(r"([0-9]{1,3})-([0-9]{1,2})", re.ASCII)
"""A slot of the message's content and a place in its decision."""
_RETRY_AFTER: Final = ("Retry-After", "5")
PIXEL: Final = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==")

_READ_VALUES = """
WITH RECURSIVE chain AS (
    SELECT id, merged_into, attributes FROM profile WHERE id = %(profile_id)s
    UNION ALL
    SELECT p.id, p.merged_into, p.attributes FROM chain JOIN profile p ON p.id = chain.merged_into)
SELECT (SELECT attributes::text FROM chain WHERE merged_into IS NULL),
    (SELECT properties::text FROM event WHERE id = %(event_id)s::uuid), c.sender_name, c.sender_address
FROM (SELECT) AS always LEFT JOIN channels_channelconfiguration c ON c.id = %(configuration_id)s
"""


@dataclass(frozen=True, slots=True)
class Answer:
    status: HTTPStatus
    headers: list[tuple[str, str]]
    body: bytes = b""


class Door:
    """Answers `/t/o/<token>` and `/t/c/<token>/<number>`."""

    def __init__(self, pool: HotPool, recorder: Recorder) -> None:
        self._pool = pool
        self._recorder = recorder
        self._bursts = machines.Bursts()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = self._answer(environ)
        headers = [*answer.headers, ("Content-Length", str(len(answer.body)))]
        start_response(f"{answer.status.value} {answer.status.phrase}", headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body]

    def _answer(self, environ: WSGIEnvironment) -> Answer:
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            headers = [("Allow", "GET, HEAD"), *pages.HEADERS.items()]
            return Answer(HTTPStatus.METHOD_NOT_ALLOWED, headers)
        match environ["PATH_INFO"].removeprefix(PREFIX).split("/"):
            case ["o", token]:
                return self._open(environ, token)
            case ["c", token, place] if offer := _OFFER.fullmatch(place):
                return self._offer_click(environ, token, int(offer[1]), int(offer[2]))
            case ["c", token, number] if number.isdecimal() and number.isascii() and len(number) <= 5:
                return self._click(environ, token, int(number))
        return _unknown()

    def _open(self, environ: WSGIEnvironment, token: str) -> Answer:
        message_id = tokens.tracked_message(token)
        if message_id is not None:
            try:
                if sent := self._read(message_id, link=None):
                    self._record(environ, sent, link=None)
            except Unavailable:
                pass  # said in the log by the pool; the open is lost
            except Exception:
                logger.exception("An open of message %s was not stored.", message_id)
        return Answer(HTTPStatus.OK, [("Content-Type", "image/gif"), *pages.HEADERS.items()], PIXEL)

    def _click(self, environ: WSGIEnvironment, token: str, number: int) -> Answer:
        message_id = tokens.tracked_message(token)
        if message_id is None or number > _MAX_LINK:
            return _unknown()
        return _guarded(message_id, lambda: self._follow_link(environ, message_id, number))

    def _follow_link(self, environ: WSGIEnvironment, message_id: int, number: int) -> Answer:
        sent = self._read(message_id, link=number)
        if sent is None or sent.url is None:
            return _unknown()
        address = links.target(sent.url, self._values(sent) if links.is_personal(sent.url) else {})
        self._record(environ, sent, link=number)
        if address is None:
            return _page(
                HTTPStatus.NOT_FOUND,
                _("This link leads nowhere"),
                _(
                    "The address behind it is missing or is not one of the web. There is nothing that you can do."
                ),
            )
        return Answer(HTTPStatus.FOUND, [("Location", address), *pages.HEADERS.items()])

    def _offer_click(self, environ: WSGIEnvironment, token: str, number: int, place: int) -> Answer:
        message_id = tokens.tracked_message(token)
        if message_id is None:
            return _unknown()
        return _guarded(message_id, lambda: self._follow_offer(environ, message_id, number, place))

    def _follow_offer(self, environ: WSGIEnvironment, message_id: int, number: int, place: int) -> Answer:
        sent = self._read(message_id, link=None)
        offer = self._read_offer(message_id, number, place)
        if sent is None or offer is None:
            return _unknown()
        self._record(environ, sent._replace(url=offer.url), link=f"{number}-{place}", offer=offer)
        address = links.web_address(offer.url)
        if address is None:
            return _unknown()
        return Answer(HTTPStatus.FOUND, [("Location", address), *pages.HEADERS.items()])

    def _read_offer(self, message_id: int, number: int, place: int) -> feedback.ShownOffer | None:
        with unavailable_when_lost(), self._pool.connection(_LOOKUP_SECONDS) as connection:
            row = connection.execute(
                feedback.READ_OFFER, {"id": message_id, "number": number, "place": place + 1}
            ).fetchone()
        return None if row is None else feedback.ShownOffer._make(row)

    def _read(self, message_id: int, *, link: int | None) -> feedback.Sent | None:
        with unavailable_when_lost(), self._pool.connection(_LOOKUP_SECONDS) as connection:
            row = connection.execute(
                feedback.READ,
                {"id": message_id, "link": link, "uncertain": Message.State.UNCERTAIN.value},
            ).fetchone()
        return None if row is None else feedback.Sent._make(row)

    def _values(self, sent: feedback.Sent) -> dict[str, object]:
        """What a link with Liquid may use, as its message was rendered with, for the person of today."""
        with unavailable_when_lost(), self._pool.connection(_LOOKUP_SECONDS) as connection:
            row: Any = connection.execute(_READ_VALUES, sent._asdict()).fetchone()
        attributes, properties, name, address = row
        return {
            "profile": _decoded(attributes),
            "event": _decoded(properties),
            "context": _decoded(sent.context),
            "brand": {"name": name, "address": address},
        }

    def _record(
        self,
        environ: WSGIEnvironment,
        sent: feedback.Sent,
        *,
        link: int | str | None,
        offer: feedback.ShownOffer | None = None,
    ) -> None:
        at = datetime.now(UTC)
        reason = machines.machine_reason(
            method=environ["REQUEST_METHOD"],
            headers=environ,
            at=at,
            sent_at=sent.sent_at,
            is_open=link is None,
        )
        is_burst = link is not None and self._bursts.is_burst(sent.id, link, at)
        reason = reason or (machines.BURST if is_burst else "")
        agent = machines.agent_class(environ.get("HTTP_USER_AGENT", ""))
        self._recorder.store([feedback.visited(sent, feedback.Visit(at, reason, agent, link, offer))])


def _decoded(text: str | None) -> dict[str, Any]:
    try:
        return decode_values(text) if text else {}
    except msgspec.ValidationError:
        return {}


def _guarded(message_id: int, follow: Callable[[], Answer]) -> Answer:
    """What a click comes to; a page that says so when that cannot be found out."""
    try:
        return follow()
    except Unavailable:
        return _page(
            HTTPStatus.SERVICE_UNAVAILABLE,
            _("One moment, please"),
            _("We cannot look up where this link leads right now. Please try again in a few seconds."),
            _RETRY_AFTER,
        )
    except Exception:
        logger.exception("A click in message %s failed.", message_id)
        return _page(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            _("Something went wrong"),
            _("We could not open this link. Please try it again later."),
        )


def _unknown() -> Answer:
    return _page(HTTPStatus.NOT_FOUND, pages.UNKNOWN_TITLE, pages.UNKNOWN_TEXT)


def _page(status: HTTPStatus, title: Any, text: Any, *extra: tuple[str, str]) -> Answer:
    body = pages.notice(title, text).encode()
    return Answer(
        status, [("Content-Type", "text/html; charset=utf-8"), *pages.HEADERS.items(), *extra], body
    )


@functools.cache
def door() -> Door:
    """The door of this process, with its own connections. They open with the first request."""
    # Plans for reading one row and for storing many are different, and so are the settings of their connections.
    pool = HotPool(size=POOL_SIZE, settings={"statement_timeout": "5s"})
    return Door(pool, Recorder(HotPool(size=1, settings=SESSION)))
