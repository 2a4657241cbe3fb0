"""One core renders emails ready to be sent: Liquid, tracked links, encoding, headers. Of 9 KB and of 32 KB.

The floor joins an email of that size from as many pieces as there are between its moving parts: the least that splicing
costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from channels.liquid import decode_values
from channels.rendering import CompiledEmail, Envelope, Sender, Words, compile_email
from tests.benchmarks import harness
from tests.benchmarks.outbox import HTML, TEXT

EMAILS = 1_500
JOINS = 20_000
VALUES = 20
"""Moving parts of both emails that are no links."""
SENDER = Sender("Harbour & Pine", "hello@brand.example")
TOKEN = "0123456789abcdefghijklmnopqrstuvwxyzABCD"
PERSON = (
    '{"email": "person%d@example.com", "first_name": "Ada %d", "last_name": "Löwenherz", "tier": "gold",'
    ' "points": %d, "since": "2019", "city": "Hafenstadt"}'
)
PRODUCTS = ", ".join(
    f'{{"name": "Sweater in {size}", "price": "49.90"}}' for size in ("XS", "S", "M", "L", "XL")
)
EVENT = f'{{"day": "2026-12-05", "park": "Harbour Park", "products": [{PRODUCTS}]}}'
SMALL_HTML = (
    HTML[: HTML.index("item-25?")].rpartition("<li")[0] + "</ul>" + HTML[HTML.index("<p>{{ brand.name") :]
)


def run(rounds: int) -> Iterator[dict[str, Any]]:
    for name, html, text in (("render_small", SMALL_HTML, TEXT), ("render", HTML, TEXT)):
        words = Words("Welcome, {{ profile.first_name }}", html=html, text=text)
        email = compile_email(words, "https://go.brand.example")
        raw = _render(email, 0)
        pieces = _pieces(raw, len(email.links) + VALUES)
        rates, floors = [], []
        for number in range(rounds + 1):
            with harness.timed() as rendering:
                for n in range(EMAILS):
                    _render(email, n)
            with harness.timed() as joining:
                for _ in range(JOINS):
                    b"".join(pieces)
            if number:  # the first one warms up
                rates.append(EMAILS / rendering[0])
                floors.append(JOINS / joining[0])
        floor_is = f"joining {len(pieces)} pieces of {len(raw)} bytes"
        yield harness.result(name, unit="emails/s", rates=rates, floors=floors, floor_is=floor_is)


def _render(email: CompiledEmail, n: int) -> bytes:
    values = {
        "profile": decode_values(PERSON % (n, n % 100, n)),
        "event": decode_values(EVENT),
        "brand": {"name": "Harbour & Pine", "address": "Quay 1, Hafenstadt"},
    }
    envelope = Envelope(
        sender=SENDER,
        address=f"person{n}@example.com",
        message_id=f"<{n}@brand.example>",
        date="Sat, 21 Nov 2026 12:00:00 +0000",
        token=TOKEN,
        list_unsubscribe=f"https://go.brand.example/u/{TOKEN}",
    )
    return email.render(values, envelope)


def _pieces(raw: bytes, moving: int) -> list[bytes]:
    """`raw` cut as finely as `moving` parts in it cut it: before and after each."""
    length = -(-len(raw) // (2 * moving + 1))
    return [raw[start : start + length] for start in range(0, len(raw), length)]
