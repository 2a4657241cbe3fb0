"""The best offers for many profiles at once, each decision recorded with the reason why every candidate won or lost.

One transaction: claim the keys → gather in a constant number of statements → rank in Python → reserve caps → record.
Only where others fill a cap at the same moment are there more statements: one reservation again for those who lost the
race. Locks: profiles (shared), keys, counters, each in their order.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from ajo.lib import sql
from ajo.lib.ids import uuid7
from offers import capping, learning, ranking
from offers.capping import Use
from offers.models import CapCounter, Decision, ModelStat, SelectionStrategy
from offers.plans import Cap, Item, Plan, Strategy, read_items
from offers.ranking import Draw, Model, Scored
from profiles.language import Scope
from profiles.lookups.rows import Pair, read_rows

_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)

_READ_PROFILES = """
SELECT id, attributes::text AS attributes FROM profile WHERE id = ANY(%b::bigint[]) AND merged_into IS NULL
ORDER BY id
"""
_CLAIM_KEYS = """
INSERT INTO decision_key (key, decision_id) SELECT * FROM unnest(%b::uuid[], %b::uuid[]) AS t(key, id) ORDER BY key
ON CONFLICT (key) DO NOTHING RETURNING key
"""
_SET_KEYS = """
INSERT INTO decision_key (key, decision_id) SELECT * FROM unnest(%b::uuid[], %b::uuid[]) AS t(key, id) ORDER BY key
ON CONFLICT (key) DO UPDATE SET decision_id = excluded.decision_id
"""
_DECISION = """d.id, d.profile_id, d.policy_id, d.placement_id, d.decided_at, d.offers, d.is_fallback, d.is_exploration,
    d.model_versions::text AS model_versions, d.candidates::text AS candidates"""
_READ_KEYS = f"""
SELECT k.key, {_DECISION} FROM decision_key k JOIN decision d ON d.id = k.decision_id WHERE k.key = ANY(%b::uuid[])
"""
_READ_DECISIONS = f"SELECT {_DECISION} FROM decision d WHERE d.id = ANY(%b::uuid[])"
_RECORD = """
WITH counted AS (
    INSERT INTO offer_stat AS s (offer_id, placement_id, day, part, decided)
    SELECT offer_id, %s, %b::date, %s, n FROM unnest(%b::bigint[], %b::bigint[]) AS t(offer_id, n) ORDER BY offer_id
    ON CONFLICT (offer_id, placement_id, day, part) DO UPDATE SET decided = s.decided + excluded.decided
)
INSERT INTO decision (id, profile_id, policy_id, placement_id, decided_at, offers, is_fallback, is_exploration,
    model_versions, candidates, door, cause_id)
SELECT id, profile_id, %s, %s, %b::timestamptz, string_to_array(offers, ',')::bigint[], is_fallback, is_exploration,
    model_versions::jsonb, candidates::jsonb, door, cause_id
FROM unnest(%b::uuid[], %b::bigint[], %b::text[], %b::bool[], %b::bool[], %b::text[], %b::text[], %b::smallint[],
    %b::bigint[]) AS t(id, profile_id, offers, is_fallback, is_exploration, model_versions, candidates, door, cause_id)
"""


NOBODY = 0
"""The profile of whom nothing is known, for simulations."""


class Code:
    """Why a candidate won or lost, for programs; `Candidate.reason` says it in words."""

    CHOSEN = "chosen"
    FALLBACK = "fallback"
    RANKED_BELOW = "ranked_below"
    NOT_NEEDED = "not_needed"  # the strategies before its own had filled every place
    ALREADY_WEIGHED = "already_weighed"  # it was a candidate of an earlier strategy
    CAP_REACHED = "cap_reached"
    NOT_ELIGIBLE = "not_eligible"
    NOT_NOW = "not_now"  # outside its dates
    NOT_SHOWABLE = "not_showable"  # no representation for the placement
    NO_SCORE = "no_score"  # its formula, value or context weight was missing


class Candidate(msgspec.Struct, omit_defaults=True):
    """An offer item that was weighed by a strategy. Its fields are the members of the JSON in the record."""

    offer: str
    strategy: str
    code: str
    reason: str
    rank: int | None = None
    """Its place among those of its strategy that could be had, from 1."""
    score: float | None = None
    factors: dict[str, float] | None = None
    """Learned ranking: the logarithms that make up the score."""
    sums: tuple[float, float] | None = None
    """Learned ranking: how often it had been shown and taken, from which its propensity was drawn."""


@dataclass(frozen=True, slots=True)
class Ask:
    """For whom to decide, with what came with the request. `key`: who asks with it again gets the first answer.

    `door` and `cause_id` say who asks, for those who read the record.
    """

    profile_id: int
    context: Mapping[str, Any] = field(default_factory=dict)
    key: UUID | None = None
    door: Decision.Door = Decision.Door.REQUEST
    cause_id: int = 0


def key_of(*parts: object) -> UUID:
    """The key of what these parts name, such as a message, a policy and a placement."""
    return UUID(bytes=blake2b("\0".join(map(str, parts)).encode(), digest_size=16).digest())


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision. `items` are the chosen ones, best first; none when nothing was left."""

    id: UUID
    profile_id: int
    policy_id: int
    placement_id: int
    decided_at: datetime
    items: Sequence[Item]
    is_fallback: bool
    is_exploration: bool
    model_versions: Mapping[str, str]
    candidates: Sequence[Candidate]
    is_repeat: bool = False
    """The key had come before: this is the first answer, its items in their words of today."""


def decide(
    asks: Sequence[Ask], plan: Plan, now: datetime, *, held_until: datetime | None = None
) -> list[Decided | None]:
    """Choose for each that asks and record it; None for profiles that are unknown or were merged into another.

    Earlier ones have the first claim on caps. A key that came before is answered with the decision of then, whatever
    was asked for, and no cap is used for it. With `held_until` the caps that count what is shown are held until then:
    `capping.confirm` or `capping.release` the decisions. Without it everything counts at once. Ends with locks on
    counters, so inside a longer transaction call it last.
    """
    with sql.unit_of_work() as cur:
        documents = _read_profiles(cur, asks, plan, is_locked=True)
        people = [_Person(uuid7(), ask) if ask.profile_id in documents else None for ask in asks]
        first = {one.ask.key: one for one in reversed(people) if one is not None and one.ask.key is not None}
        stored = _claim_keys(cur, plan, first)
        new = [one for one in people if one is not None and _is_new(one, first, stored)]
        batch = _gather(cur, new, plan, now, documents)
        for person in new:
            _weigh(batch, person)
        _allocate(cur, batch, new)
        if held_until is not None:
            capping.hold(cur, [(one.id, use) for one in new for use in _held(batch, one)], held_until)
        decided = {one.id: _explained(batch, one) for one in new}
        _record(cur, plan, [(decided[one.id], one.ask) for one in new], now)
    stored |= {
        key: replace(decided[one.id], is_repeat=True) for key, one in first.items() if one.id in decided
    }
    return [_answer(one, decided, stored) if one is not None else None for one in people]


def simulate(asks: Sequence[Ask], plan: Plan, now: datetime) -> list[Decided | None]:
    """What `decide` would answer now if nobody else asked, keys aside: nothing is recorded and no cap is used.

    It can also be asked for NOBODY.
    """
    with sql.cursor() as cur:
        documents = {NOBODY: {}, **_read_profiles(cur, asks, plan, is_locked=False)}
        people = [_Person(uuid7(), ask) if ask.profile_id in documents else None for ask in asks]
        found = [one for one in people if one is not None]
        batch = _gather(cur, found, plan, now, documents)
    for person in found:
        _weigh(batch, person)
        for entry in _picked(batch, person):
            entry.is_chosen = True
    return [_explained(batch, one) if one is not None else None for one in people]


@dataclass(frozen=True, slots=True)
class _Batch:
    plan: Plan
    now: datetime
    documents: Mapping[int, Mapping[str, Any]]
    """Attributes by living profile."""
    periods: Mapping[int, date]
    """Of each capping rule the period in which now lies."""
    used: dict[tuple[int, int, date], int]
    """Counters as they were read, with what this batch has taken since."""
    models: Mapping[int, Model]
    """Of the learned strategies."""
    rows: Mapping[Pair, Mapping[str, Any]]
    """Of lookups."""

    def uses(self, item: Item, profile_id: int) -> list[Use]:
        return [cap.use(profile_id, self.periods[cap.rule_id]) for cap in item.caps]

    def reached(self, item: Item, profile_id: int) -> Cap | None:
        """The first of its caps with nothing left."""
        return next(
            (
                cap
                for cap, use in zip(item.caps, self.uses(item, profile_id), strict=True)
                if self.used.get(use[:3], 0) >= use.cap
            ),
            None,
        )


@dataclass(slots=True)
class _Entry:
    """A candidate that can be had, and what became of it."""

    strategy: Strategy
    item: Item
    scored: Scored
    rank: int
    is_chosen: bool = False
    refused_by: Cap | None = None


@dataclass(slots=True)
class _Person:
    id: UUID
    ask: Ask
    queue: list[_Entry] = field(default_factory=list)
    """In the order in which places are filled."""
    lost: list[Candidate] = field(default_factory=list)
    """Those that cannot be had."""
    explored: set[str] = field(default_factory=set)
    """Keys of the strategies that ranked by lot."""

    @property
    def profile_id(self) -> int:
        return self.ask.profile_id

    @property
    def chosen(self) -> list[_Entry]:
        return [entry for entry in self.queue if entry.is_chosen]


def _read_profiles(
    cur: psycopg.Cursor[Any], asks: Sequence[Ask], plan: Plan, *, is_locked: bool
) -> dict[int, Mapping[str, Any]]:
    """Attributes by profile, of those that live."""
    # Shared, so that decisions do not wait for each other, and a merge waits: it moves what is counted per profile.
    lock = " FOR SHARE" if is_locked and any(not cap.is_total for cap in plan.caps) else ""
    cur.execute(_READ_PROFILES + lock, [[ask.profile_id for ask in asks]])
    return {row.id: _document(row.attributes) for row in cur}


def _claim_keys(cur: psycopg.Cursor[Any], plan: Plan, first: Mapping[UUID, _Person]) -> dict[UUID, Decided]:
    """Make these keys theirs. Returns the decisions of those keys that came before."""
    if not first:
        return {}
    cur.execute(_CLAIM_KEYS, [list(first), [one.id for one in first.values()]])
    claimed = {row.key for row in cur}
    if not (known := [key for key in first if key not in claimed]):
        return {}
    cur.execute(_READ_KEYS, [known])
    rows = cur.fetchall()
    return {row.key: decided for row, decided in zip(rows, _recalled(rows, plan), strict=True)}


def _is_new(one: _Person, first: Mapping[UUID, _Person], stored: Mapping[UUID, Decided]) -> bool:
    return one.ask.key is None or (first[one.ask.key] is one and one.ask.key not in stored)


def _answer(one: _Person, decided: Mapping[UUID, Decided], stored: Mapping[UUID, Decided]) -> Decided:
    if one.id in decided or one.ask.key is None:
        return decided[one.id]
    return stored[one.ask.key]


def decisions_of(keys: Sequence[UUID]) -> dict[UUID, UUID]:
    """Key → the decision that answers it; without keys that nobody asked with. One statement."""
    with sql.cursor() as cur:
        cur.execute("SELECT key, decision_id FROM decision_key WHERE key = ANY(%b::uuid[])", [list(keys)])
        return dict(cur.fetchall())


def set_keys(decisions: Mapping[UUID, UUID]) -> None:
    """Let these keys be answered with these decisions from now on, whatever answered them before. One statement."""
    if decisions:
        with sql.cursor() as cur:
            cur.execute(_SET_KEYS, [list(decisions), list(decisions.values())])


def recall(decision_ids: Sequence[UUID], plan: Plan) -> dict[UUID, Decided]:
    """Recorded decisions as `decide` answered them, the items as they look in the plan's placement now."""
    with sql.cursor() as cur:
        cur.execute(_READ_DECISIONS, [list(decision_ids)])
        return {decided.id: decided for decided in _recalled(cur.fetchall(), plan)}


def _recalled(rows: Sequence[Any], plan: Plan) -> list[Decided]:
    gone = {offer_id for row in rows for offer_id in row.offers if offer_id not in plan.by_id}
    items = {**plan.by_id, **(read_items(gone, plan.placement_id) if gone else {})}
    return [
        Decided(
            id=row.id,
            profile_id=row.profile_id,
            policy_id=row.policy_id,
            placement_id=row.placement_id,
            decided_at=row.decided_at,
            items=[items[offer_id] for offer_id in row.offers if offer_id in items],
            is_fallback=row.is_fallback,
            is_exploration=row.is_exploration,
            model_versions=msgspec.json.decode(row.model_versions),
            candidates=msgspec.json.decode(row.candidates, type=list[Candidate]),
            is_repeat=True,
        )
        for row in rows
    ]


def _gather(
    cur: psycopg.Cursor[Any],
    people: Sequence[_Person],
    plan: Plan,
    now: datetime,
    documents: Mapping[int, Mapping[str, Any]],
) -> _Batch:
    """What else is read: at most two statements, and one for each level of lookups. Nothing is read from here on."""
    periods = {cap.rule_id: cap.period_at(now) for cap in plan.caps}
    learned = [strategy for strategy in plan.strategies if strategy.is_learned]
    sums = learning.read_sums(cur, [one.id for one in learned], now.astimezone(UTC).date())
    return _Batch(
        plan=plan,
        now=now,
        documents=documents,
        periods=periods,
        used=capping.read_used(cur, periods.items(), [CapCounter.TOTAL, *{one.profile_id for one in people}]),
        models={
            one.id: Model(
                one.key, {item.id: sums.get(one.id, {}).get(item.id, (0.0, 0.0)) for item in one.items}
            )
            for one in learned
        },
        rows=_read_rows(people, plan, now, documents),
    )


def _read_rows(
    people: Sequence[_Person], plan: Plan, now: datetime, documents: Mapping[int, Mapping[str, Any]]
) -> Mapping[Pair, Mapping[str, Any]]:
    """The rows that anything asks for, about anybody."""
    if plan.gather is None or not people:
        return {}
    offers = [None, *(item.attributes for strategy in plan.strategies for item in strategy.items)]
    scopes = [
        Scope(now, profile=documents[one.profile_id], context=one.ask.context, offer=offer)
        for one in people
        for offer in offers
    ]
    return plan.gather(scopes, read_rows)[0].rows


def _document(text: str) -> Mapping[str, Any]:
    """Numbers that are not whole as Decimal. One nested deeper than Python reads has no attributes that a rule sees."""
    try:
        return _decoder.decode(text)
    except RecursionError:
        return {}
    except msgspec.ValidationError:  # a whole number of thousands of digits
        found: dict[str, Any] = json.loads(text, parse_float=Decimal, parse_int=Decimal)
        return found


def _weigh(batch: _Batch, person: _Person) -> None:
    """Find out what this person can have, and in which order."""
    weighed: set[int] = set()
    bare = Scope(
        batch.now, profile=batch.documents[person.profile_id], context=person.ask.context, rows=batch.rows
    )
    for strategy in batch.plan.strategies:
        if strategy.eligibility is not None and not strategy.eligibility.holds(bare):
            why = strategy.eligibility.refusal(bare)
            reason = f"The strategy {strategy.key} is not for this person: {why}"
            person.lost += [
                Candidate(item.key, strategy.key, Code.NOT_ELIGIBLE, reason) for item in strategy.items
            ]
            continue
        draw = (
            batch.models[strategy.id].draw(person.id, strategy.exploration) if strategy.is_learned else None
        )
        if draw is not None and draw.is_exploration:
            person.explored.add(strategy.key)
        scored: dict[str, tuple[Item, Scored]] = {}
        for item in strategy.items:
            found = _candidate(batch, strategy, item, bare, person.profile_id, draw, item.id in weighed)
            if isinstance(found, Candidate):
                person.lost.append(found)
            else:
                scored[item.key] = item, found
        weighed.update(item.id for item, _ in scored.values())
        for rank, one in enumerate(ranking.in_order(one for _, one in scored.values()), start=1):
            person.queue.append(_Entry(strategy, scored[one.offer][0], one, rank))


def _candidate(
    batch: _Batch,
    strategy: Strategy,
    item: Item,
    bare: Scope,
    profile_id: int,
    draw: Draw | None,
    is_weighed: bool,
) -> Candidate | Scored:
    """Its score, or why it cannot be had."""

    def lost(code: str, reason: str) -> Candidate:
        return Candidate(item.key, strategy.key, code, reason)

    if is_weighed:
        return lost(Code.ALREADY_WEIGHED, "It is a candidate of an earlier strategy already.")
    if item.valid_from is not None and batch.now < item.valid_from:
        return lost(Code.NOT_NOW, f"It is valid only from {item.valid_from:%Y-%m-%d %H:%M} UTC.")
    if item.valid_until is not None and batch.now >= item.valid_until:
        return lost(Code.NOT_NOW, f"It was valid only until {item.valid_until:%Y-%m-%d %H:%M} UTC.")
    if item.shown is None:
        return lost(Code.NOT_SHOWABLE, "It has no representation for this placement.")
    scope = Scope(
        batch.now, profile=bare.profile, context=bare.context, offer=item.attributes, rows=batch.rows
    )
    if item.eligibility is not None and not item.eligibility.holds(scope):
        return lost(Code.NOT_ELIGIBLE, f"Not eligible: {item.eligibility.refusal(scope)}")
    if (cap := batch.reached(item, profile_id)) is not None:
        return lost(Code.CAP_REACHED, cap.reason)
    scored = _score(strategy, item, scope, draw)
    return lost(Code.NO_SCORE, scored) if isinstance(scored, str) else scored


def _score(strategy: Strategy, item: Item, scope: Scope, draw: Draw | None) -> Scored | str:
    """The score, or why there is none."""
    if draw is not None and draw.is_exploration:
        return Scored(item.key, item.priority, draw.lots[item.id])
    if draw is not None:
        context = _number(strategy.context_weight(scope)) if strategy.context_weight else 1.0
        value = _number(strategy.value(scope)) if strategy.value else 1.0
        if context is None or context <= 0:
            return "Its context weight was missing, or not above 0."
        if value is None or value <= 0:
            return "Its value was missing, or not above 0."
        return ranking.arbitrate(
            item.key,
            item.priority,
            propensity=draw.propensities[item.id],
            context=context,
            value=value,
            lever=item.lever,
            propensity_weight=strategy.propensity_weight,
        )
    if strategy.method == SelectionStrategy.Method.FORMULA:
        score = _number(strategy.formula(scope)) if strategy.formula else None
        return "Its formula gave no number." if score is None else Scored(item.key, item.priority, score)
    return Scored(item.key, item.priority, float(item.priority))


def _number(value: Any) -> float | None:
    """A field that is not declared comes as it stands in JSON."""
    return float(value) if isinstance(value, Decimal | int | float) and not isinstance(value, bool) else None


def _allocate(cur: psycopg.Cursor[Any], batch: _Batch, people: Sequence[_Person]) -> None:
    """Fill every person's places from the queue, and reserve. Where others have filled a cap meanwhile, try the next in
    the queue: each time at least one more cap is known to be full, so this comes to an end."""
    while picks := [(person, entry) for person in people for entry in _picked(batch, person)]:
        wanted = [batch.uses(entry.item, person.profile_id) for person, entry in picks]
        answers = capping.reserve(cur, wanted)
        for (_, entry), uses, refused in zip(picks, wanted, answers, strict=True):
            entry.is_chosen = not refused
            for use in uses if refused else ():
                batch.used[use[:3]] -= 1
        for uses, refused in zip(wanted, answers, strict=True):
            batch.used.update({use[:3]: use.cap for use in uses if use.rule_id in refused})
        if not any(answers):
            return


def _picked(batch: _Batch, person: _Person) -> Iterator[_Entry]:
    """The next in the queue for the places that are open, taken from what is left of their caps."""
    places = batch.plan.items - len(person.chosen)
    for entry in person.queue:
        if places <= 0:
            return
        if entry.is_chosen:
            continue
        entry.refused_by = batch.reached(entry.item, person.profile_id)
        if entry.refused_by is None:
            places -= 1
            for use in batch.uses(entry.item, person.profile_id):
                batch.used[use[:3]] = batch.used.get(use[:3], 0) + 1
            yield entry


def _held(batch: _Batch, person: _Person) -> Iterator[Use]:
    for entry in person.chosen:
        for cap, use in zip(entry.item.caps, batch.uses(entry.item, person.profile_id), strict=True):
            if cap.is_held:
                yield use


def _explained(batch: _Batch, person: _Person) -> Decided:
    chosen = person.chosen
    candidates = [_chosen(batch, person, entry) for entry in chosen]
    items = [entry.item for entry in chosen]
    fallback = batch.plan.fallback
    is_fallback = not chosen and fallback is not None and fallback.shown is not None
    if is_fallback and fallback is not None:
        items = [fallback]
        reason = "Nothing else was left, so the fallback is shown."
        candidates.append(Candidate(fallback.key, "", Code.FALLBACK, reason))
    candidates += [_lost(batch, person, entry) for entry in person.queue if not entry.is_chosen]
    return Decided(
        id=person.id,
        profile_id=person.profile_id,
        policy_id=batch.plan.policy_id,
        placement_id=batch.plan.placement_id,
        decided_at=batch.now,
        items=items,
        is_fallback=is_fallback,
        is_exploration=bool(person.explored),
        model_versions={
            one.key: batch.models[one.id].version for one in batch.plan.strategies if one.is_learned
        },
        candidates=[*candidates, *person.lost],
    )


def _chosen(batch: _Batch, person: _Person, entry: _Entry) -> Candidate:
    following = next(
        (one for one in person.queue if one.strategy is entry.strategy and one.rank == entry.rank + 1), None
    )
    reason = ranking.went_ahead(entry.rank, entry.scored, following.scored if following else None)
    return _ranked(batch, person, entry, Code.CHOSEN, reason)


def _lost(batch: _Batch, person: _Person, entry: _Entry) -> Candidate:
    if entry.refused_by is not None:
        return _ranked(batch, person, entry, Code.CAP_REACHED, entry.refused_by.reason)
    ahead = [one for one in person.chosen if one.strategy is entry.strategy]
    if not ahead:
        reason = "Not needed: the strategies before its own filled every place."
        return _ranked(batch, person, entry, Code.NOT_NEEDED, reason)
    reason = ranking.fell_behind(entry.rank, entry.scored, ahead[-1].scored)
    return _ranked(batch, person, entry, Code.RANKED_BELOW, reason)


def _ranked(batch: _Batch, person: _Person, entry: _Entry, code: str, reason: str) -> Candidate:
    model = batch.models.get(entry.strategy.id)
    if entry.strategy.key in person.explored:
        reason = f"By lot, to learn: {reason}"
    return Candidate(
        entry.item.key,
        entry.strategy.key,
        code,
        reason,
        rank=entry.rank,
        score=entry.scored.score,
        factors=dict(entry.scored.factors) or None,
        sums=model.sums[entry.item.id] if model else None,
    )


def _record(
    cur: psycopg.Cursor[Any], plan: Plan, decided: Sequence[tuple[Decided, Ask]], now: datetime
) -> None:
    if not decided:
        return
    rows = [
        (
            one.id,
            one.profile_id,
            ",".join(str(item.id) for item in one.items),
            one.is_fallback,
            one.is_exploration,
            msgspec.json.encode(one.model_versions).decode(),
            msgspec.json.encode(one.candidates).decode(),
            ask.door.value,
            ask.cause_id,
        )
        for one, ask in decided
    ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    counts = Counter(item.id for one, _ask in decided for item in one.items)
    cur.execute(
        _RECORD,
        [
            *(
                plan.placement_id,
                now.astimezone(UTC).date(),
                random.randrange(ModelStat.PARTS),
                list(counts),
                list(counts.values()),
            ),
            *(plan.policy_id, plan.placement_id, now),
            *columns,
        ],
    )
