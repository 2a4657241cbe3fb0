"""What the contents of a batch may use, gathered in a constant number of statements before anything is rendered.

Whatever a content can name beside the profile comes in here: a new kind of value is one more set in `gather`, read for
all messages at once, and one more name in `Values.of`. Offers are decided and codes are taken here, once for each
message: whoever gathers again finds the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from ajo.lib import sql
from channels import shown_offers
from channels.delivery.outbox import Loaded
from channels.liquid import ContentError, Number, decode_values
from channels.reaching import CODES, LOOKUPS, OFFERS, AuthoredHtml, Lookups, Needs, Pair, Slot
from channels.rendering import Compiled, Sender
from channels.shown_offers import Chosen, Showing
from channels.tracking import tokens
from channels.tracking.tokens import Addresses
from offers.decide import NOBODY, Ask, simulate
from offers.models import DecisionPolicy, Placement
from offers.plans import Item, PlanMissing, current_plan
from profiles.lookups.codes import take_codes
from profiles.lookups.rows import read_rows
from profiles.models import Code, CodePool, TakenCode

ROUNDS = 4
"""A row's value can be the key of another row; so deep are lookups followed."""
SAMPLE_CODE = "SAMPLE-CODE"
"""What stands for a code where nobody gets one: a preview, a proof."""

Rows = MutableMapping[Pair, Mapping[str, object] | None]


@dataclass(frozen=True, slots=True)
class Values:
    """The values of a batch's messages."""

    properties: Mapping[UUID, str]
    """The properties of the events that the messages are about, as JSON."""
    offers: Mapping[int, Mapping[Slot, Chosen]] = field(default_factory=dict)
    codes: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    rows: Rows = field(default_factory=dict)
    problems: Mapping[int, str] = field(default_factory=dict)
    """Why a message cannot be rendered, as a sentence."""

    def of(
        self, message: Loaded, profile: Mapping[str, Any], sender: Sender, public: Addresses
    ) -> dict[str, object]:
        """What the content of one message finds under its names. `profile` are the decoded attributes. Raises
        ContentError when something that it needs is not there."""
        if problem := self.problems.get(message.id):
            raise ContentError(problem)
        chosen = self.offers.get(message.id, {})
        return {
            "profile": profile,
            "event": decoded(self.properties.get(message.event_id) if message.event_id else None),
            "context": decoded(message.context),
            "brand": {"name": sender.name, "address": sender.address},
            "unsubscribe_url": public.unsubscribe_url,
            "preferences_url": public.preferences_url,
            OFFERS: {slot: _items(one, public.token) for slot, one in chosen.items()},
            CODES: self.codes.get(message.id, {}),
            LOOKUPS: Lookups(self.rows),
        }


def gather(
    messages: Sequence[Loaded],
    compiled: Mapping[int, Compiled],
    needs: Mapping[int, Needs],
    now: datetime,
    *,
    is_trial: bool = False,
) -> Values:
    """The values for all messages of a batch; `compiled` are their contents by variant and `needs` what they ask for.

    A trial decides nothing and takes no code: what a message has not got yet is simulated.
    """
    asking = [message for message in messages if needs.get(message.variant_id)]
    properties = _event_properties({each.event_id for each in messages if each.event_id})
    if not asking:
        return Values(properties=properties)
    problems: dict[int, str] = {}
    offers = _offers(asking, needs, properties, now, problems, is_trial=is_trial)
    codes = _codes(asking, needs, now, problems, is_trial=is_trial)
    found = Values(properties, offers, codes, {}, problems)

    def rendering(message: Loaded) -> Callable[[Lookups], object]:
        values = found.of(message, decoded(message.attributes), Sender("", ""), Addresses("", ""))
        return lambda lookups: compiled[message.variant_id].preview({**values, LOOKUPS: lookups})

    follow(
        [
            rendering(message)
            for message in asking
            if needs[message.variant_id].reads_lookups and message.id not in problems
        ],
        found.rows,
    )
    return found


def trial(
    needs: Needs, compiled: Compiled, values: Mapping[str, Any], profile_id: int | None, now: datetime
) -> dict[str, Any]:
    """The values with what else these words ask for, as a preview or a proof shows it: offers that are simulated for
    the profile, sample codes, rows of lookups. Nothing is recorded, taken or counted. Raises ContentError."""
    found: dict[Slot, list[dict[str, object]]] = {}
    for slot in needs.slots:
        try:
            plan = current_plan(slot.policy, slot.placement, now)
        except PlanMissing as missing:
            raise ContentError(str(missing)) from missing
        (decided,) = simulate([Ask(profile_id or NOBODY)], plan, now)
        items = decided.items if decided else []
        found[slot] = [_item(item, plan.content_type, item.shown.link_url) for item in items if item.shown]
    rows: Rows = {}
    ready = {**values, OFFERS: found, CODES: dict.fromkeys(needs.pools, SAMPLE_CODE)}
    if needs.reads_lookups:
        follow([lambda lookups: compiled.preview({**ready, LOOKUPS: lookups})], rows)
    return {**ready, LOOKUPS: Lookups(rows)}


def unmet(needs: Needs) -> list[str]:
    """What these words ask for and is not there, as sentences."""
    found = []
    for policy, placement in needs.slots:
        if not DecisionPolicy.objects.filter(key=policy).exists():
            found.append(f"There is no decision policy {policy!r}. Make it under Offers, or check the key.")
        if not Placement.objects.filter(key=placement).exists():
            found.append(f"There is no placement {placement!r}. Make it under Offers, or check the key.")
    pools = set(CodePool.objects.filter(key__in=needs.pools).values_list("key", flat=True))
    found += [
        f"There is no pool of codes {pool!r}. Make it under People, or check the key."
        for pool in needs.pools
        if pool not in pools
    ]
    return found


def follow(renders: Sequence[Callable[[Lookups], object]], rows: Rows) -> None:
    """Put every row that these renders look up into `rows`: render, read what was missing, render those again that
    missed something. One statement a round."""
    for _ in range(ROUNDS):
        missing: set[Pair] = set()
        behind = []
        for render in renders:
            lookups = Lookups(rows)
            with suppress(ContentError):  # it is told when the message is rendered
                render(lookups)
            if lookups.missing:
                behind.append(render)
                missing |= lookups.missing
        if not missing:
            return
        read = read_rows(missing)
        rows.update({pair: _printable(read[pair]) if pair in read else None for pair in missing})
        renders = behind


def _offers(
    messages: Sequence[Loaded],
    needs: Mapping[int, Needs],
    properties: Mapping[UUID, str],
    now: datetime,
    problems: dict[int, str],
    *,
    is_trial: bool,
) -> dict[int, dict[Slot, Chosen]]:
    groups: dict[tuple[Slot, int], list[Loaded]] = defaultdict(list)
    for message in messages:
        for number, slot in enumerate(needs[message.variant_id].slots):
            groups[slot, number].append(message)
    if not groups:
        return {}
    kept = shown_offers.read_kept([message.id for message in messages])
    found: dict[int, dict[Slot, Chosen]] = defaultdict(dict)
    for (slot, number), group in sorted(groups.items()):
        showings = [
            Showing(
                message.id,
                message.profile_id,
                shown_offers.walk_of(message.cause_kind, message.cause_id),
                shown_offers.context_of(
                    message.context, properties.get(message.event_id) if message.event_id else None
                ),
            )
            for message in group
        ]
        try:
            chosen = shown_offers.choose(slot, number, showings, kept, now, is_trial=is_trial)
        except PlanMissing as missing:
            problems.update({message.id: str(missing) for message in group})
            continue
        for message in group:
            if message.id in chosen:
                found[message.id][slot] = chosen[message.id]
            else:
                problems[message.id] = "Its profile is gone, so no offer could be decided for it."
    return found


def _codes(
    messages: Sequence[Loaded],
    needs: Mapping[int, Needs],
    now: datetime,
    problems: dict[int, str],
    *,
    is_trial: bool,
) -> dict[int, dict[str, str]]:
    wanted: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for message in messages:
        for pool in needs[message.variant_id].pools:
            if message.id not in problems:
                wanted[pool].append((message.id, message.profile_id))
    found: dict[int, dict[str, str]] = defaultdict(dict)
    for pool, wants in sorted(wanted.items()):
        codes = _taken(pool, [id for id, _ in wants]) if is_trial else take_codes(pool, wants, now)
        for message_id, _profile_id in wants:
            if code := codes.get(message_id, SAMPLE_CODE if is_trial else ""):
                found[message_id][pool] = code
            else:
                problems[message_id] = (
                    f"No code is left in the pool {pool}. Add codes and send a new message."
                )
    return found


def _taken(pool: str, message_ids: Sequence[int]) -> dict[int, str]:
    """The codes that these messages have."""
    taken = TakenCode.objects.filter(pool__key=pool, taken_by__in=message_ids)
    numbers = dict(taken.values_list("number", "taken_by"))
    codes = Code.objects.filter(pool__key=pool, number__in=numbers).values_list("number", "code")
    return {numbers[number]: code for number, code in codes}


def _items(chosen: Chosen, token: str) -> list[dict[str, object]]:
    """The items of a decision as content finds them; their links are counted."""
    return [
        _item(item, chosen.content_type, _link(chosen.number, place, item, token))
        for place, item in enumerate(chosen.decided.items)
        if item.shown is not None
    ]


def _link(number: int, place: int, item: Item, token: str) -> str:
    if item.shown is None or not item.shown.link_url:
        return ""
    return f"{tokens.public_url()}/t/c/{token}/{number}-{place}"


def _item(item: Item, content_type: str, link_url: str) -> dict[str, object]:
    shown = item.shown
    assert shown is not None  # nothing else is ever chosen
    is_html = content_type == Placement.ContentType.HTML
    return {
        "key": item.key,
        "name": item.name,
        "title": shown.title,
        "body": AuthoredHtml(shown.body) if is_html else shown.body,
        "image_url": shown.image_url,
        "link_url": link_url,
        "attributes": _printable(item.attributes),
    }


def _printable(value: Any) -> Any:
    """JSON values as Liquid prints them: 19.90 stays 19.90."""
    if isinstance(value, Mapping):
        return {key: _printable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(inner) for inner in value]
    return Number(str(value)) if isinstance(value, Decimal | float) else value


def _event_properties(event_ids: set[UUID]) -> dict[UUID, str]:
    if not event_ids:
        return {}
    with sql.cursor() as cur:
        cur.execute("SELECT id, properties::text FROM event WHERE id = ANY(%b::uuid[])", [sorted(event_ids)])
        return dict(cur.fetchall())


def decoded(text: str | None) -> dict[str, Any]:
    """The JSON object; nothing when it is none, which content shows as empty values."""
    try:
        return decode_values(text) if text else {}
    except msgspec.ValidationError:
        return {}
