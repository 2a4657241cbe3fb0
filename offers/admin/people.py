"""Choosing the person for whom something is tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from django.http import HttpRequest

from ajo.lib import sql
from profiles.models import Profile
from profiles.services import living_profiles, owners_of

SHOWN = 8
LOOKED_AT = 20_000
"""The newest people, among whom a name is looked for: a scan of all of them would take minutes."""

_BY_NAME = """
SELECT id FROM (
    SELECT id, attributes FROM profile WHERE merged_into IS NULL ORDER BY id DESC LIMIT %(most)s
) p
WHERE concat_ws(' ', attributes->>'first_name', attributes->>'last_name', attributes->>'name') ILIKE %(pattern)s
ORDER BY id DESC LIMIT %(shown)s
"""


class Choice(NamedTuple):
    """Who was asked for: one person, or several to choose from, or nobody whom the text names."""

    text: str
    person: Profile | None
    several: Sequence[Profile] = ()

    @property
    def is_unknown(self) -> bool:
        return bool(self.text) and self.person is None and not self.several


def choose(request: HttpRequest) -> Choice:
    """By `?profile=` (an id), else by `?person=` (a whole identity, a number, or a part of a name), else by `?kept=`,
    the id of the one whom the page showed before.
    """
    if not request.user.has_perm("profiles.view_profile"):
        return Choice("", None)
    text = request.GET.get("person", "").replace("\0", "").strip()[:200]
    number = request.GET.get("profile", "") or ("" if text else request.GET.get("kept", ""))
    if number.isdecimal() and len(number) < 19:
        alive = living_profiles([int(number)]).values()
        person = Profile.objects.filter(pk__in=list(alive)).first()
        return Choice(text if person is None else "", person)
    if not text:
        return Choice("", None)
    ids = owners_of(text)
    if text.isdecimal() and len(text) < 19:
        ids |= set(living_profiles([int(text)]).values())
    if not ids:
        ids = set(_by_name(text))
    found = list(Profile.objects.filter(pk__in=ids, merged_into=None).order_by("pk")[:SHOWN])
    return Choice(text, found[0]) if len(found) == 1 else Choice(text, None, found)


def _by_name(text: str) -> list[int]:
    escaped = text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    with sql.cursor() as cur:
        cur.execute(_BY_NAME, {"most": LOOKED_AT, "pattern": f"%{escaped}%", "shown": SHOWN})
        return [row.id for row in cur]
