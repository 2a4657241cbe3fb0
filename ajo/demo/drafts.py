"""What the modules of the three stories say about the things of the demo, before `showroom` makes them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SITE = "[[site]]"
_WORDS = Path(__file__).parent / "words"


@dataclass(frozen=True, slots=True)
class AudienceDraft:
    key: str
    name: str
    description: str
    rule: str


@dataclass(frozen=True, slots=True)
class ContentDraft:
    key: str
    name: str
    channel: int
    words: dict[str, Any]
    """The fields of its only variant."""


@dataclass(frozen=True, slots=True)
class OfferDraft:
    """An offer item that is shown in one placement. `picture` is a path below the product's own address."""

    key: str
    name: str
    placement: str
    title: str
    body: str
    picture: str
    link: str
    attributes: dict[str, Any]
    eligibility: str = ""
    priority: int = 0
    caps: tuple[dict[str, Any], ...] = field(default=())


def mjml_words(name: str, *, subject: str, preheader: str) -> dict[str, Any]:
    """The fields of an email whose body and text are files of the folder `words`; `SITE` in them is the product's own
    address."""
    return {
        "subject": subject,
        "preheader": preheader,
        "mjml": (_WORDS / f"{name}.mjml").read_text(),
        "text": (_WORDS / f"{name}.txt").read_text(),
    }


def box(id: str, kind: str, /, label: str = "", **config: Any) -> dict[str, Any]:
    """An activity of a journey's graph."""
    return {"id": id, "kind": kind, "config": config} | ({"label": label} if label else {})


def link(source: str, port: str, target: str) -> dict[str, str]:
    return {"from": source, "port": port, "to": target}
