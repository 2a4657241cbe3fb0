"""Who opened or clicked: a person, or a machine on the way to them. Pure.

The doubt goes to the person: what is called a machine has a reason that can be named. Proxies that fetch an image when
somebody looks at it (Gmail, Yahoo) count as that person; those that fetch everything when it arrives (Apple Mail with
its privacy protection, security scanners) are machines.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

HEAD: Final = "head"
PREFETCH: Final = "prefetch"
NOT_SENT: Final = "before_sent"
TOO_SOON: Final = "too_soon"
APPLE: Final = "apple_privacy"
SCANNER: Final = "scanner"
ROBOT: Final = "robot"
NAMELESS: Final = "no_user_agent"
BURST: Final = "burst"

TOO_SOON_AFTER: Final = timedelta(seconds=1)
"""Nobody opens a mail program, reads and clicks that fast; scanners at the gate do."""
BURST_WITHIN: Final = timedelta(seconds=2)
"""Two different links of one message in this time are no reader's."""

_PURPOSES = ("HTTP_SEC_PURPOSE", "HTTP_PURPOSE", "HTTP_X_PURPOSE", "HTTP_X_MOZ")
# Names, or unmistakable parts of them, in lower case. A scanner that calls itself a browser is caught by its haste.
_SCANNERS = re.compile(
    r"barracuda|proofpoint|mimecast|symantec|messagelabs|fireeye|trendmicro|trend micro|fortinet|fortimail|sophos|"
    r"bitdefender|kaspersky|cloudmark|ironport|zscaler|forcepoint|mailscanner|safelinks|urlscan|virustotal|clamav|"
    r"avanan|checkpoint"
)
_ROBOTS = re.compile(
    r"bot\b|bot/|crawl|spider|slurp|preview|headless|facebookexternalhit|whatsapp|curl/|wget/|python|"
    r"go-http-client|java/|okhttp|libwww|apache-httpclient|node-fetch|axios|ruby|perl|php/|scrapy|phantomjs"
)
_CLASSES: Final = (
    ("gmail_proxy", "googleimageproxy"),
    ("yahoo_proxy", "yahoomailproxy"),
    ("outlook", "microsoft outlook"),
    ("outlook", "ms-office"),
    ("thunderbird", "thunderbird"),
    ("iphone", "iphone"),
    ("ipad", "ipad"),
    ("android", "android"),
    ("mac", "macintosh"),
    ("windows", "windows"),
    ("linux", "linux"),
)


def machine_reason(
    *, method: str, headers: Mapping[str, str], at: datetime, sent_at: datetime | None, is_open: bool
) -> str:
    """Why the request at `at` came from a machine; empty when it may be a person's. `headers` as in a WSGI environ."""
    agent = headers.get("HTTP_USER_AGENT", "").strip().lower()
    purpose = " ".join(headers.get(name, "") for name in _PURPOSES).lower()
    if method == "HEAD":
        return HEAD
    if "prefetch" in purpose or "prerender" in purpose or "preview" in purpose:
        return PREFETCH
    if sent_at is None or at < sent_at:
        return NOT_SENT
    if not agent:
        return NAMELESS
    if _SCANNERS.search(agent):
        return SCANNER
    if is_open and agent == "mozilla/5.0":
        return APPLE
    if _ROBOTS.search(agent):
        return ROBOT
    if at - sent_at < TOO_SOON_AFTER:
        return TOO_SOON
    return ""


def agent_class(user_agent: str) -> str:
    """The kind of program in a word, which says less about a person than its full name."""
    agent = user_agent.lower()
    for name, sign in _CLASSES:
        if sign in agent:
            return name
    return "other"


class Bursts:
    """Remembers the last click in each message, to tell a burst of clicks on several links. Thread-safe, bounded."""

    def __init__(self, size: int = 10_000) -> None:
        self._size = size
        self._last: OrderedDict[int, tuple[int | str, datetime]] = OrderedDict()
        self._lock = threading.Lock()

    def is_burst(self, message_id: int, link: int | str, at: datetime) -> bool:
        """Whether another link of the message was clicked less than BURST_WITHIN ago. Notes the click."""
        with self._lock:
            last = self._last.pop(message_id, None)
            self._last[message_id] = (link, at)
            if len(self._last) > self._size:
                self._last.popitem(last=False)
        return last is not None and last[0] != link and at - last[1] < BURST_WITHIN
