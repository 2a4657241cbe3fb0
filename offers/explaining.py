"""A decision for people who read it: every candidate under its strategy, its numbers and the reason in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from offers.decide import Candidate, Code
from offers.models import OfferItem, SelectionStrategy

Method = SelectionStrategy.Method

LABELS: dict[str, tuple[Promise, str]] = {
    Code.CHOSEN: (_("Chosen"), "success"),
    Code.FALLBACK: (_("Fallback"), "info"),
    Code.RANKED_BELOW: (_("Ranked below"), "default"),
    Code.NOT_NEEDED: (_("Not needed"), "default"),
    Code.ALREADY_WEIGHED: (_("Weighed before"), "default"),
    Code.CAP_REACHED: (_("Cap reached"), "warning"),
    Code.NOT_ELIGIBLE: (_("Not eligible"), "danger"),
    Code.NOT_NOW: (_("Not now"), "warning"),
    Code.NOT_SHOWABLE: (_("Not showable here"), "warning"),
    Code.NO_SCORE: (_("No score"), "warning"),
}
FACTORS = (
    ("propensity", _("Propensity")),
    ("context", _("Context")),
    ("value", _("Value")),
    ("lever", _("Lever")),
)


class Factor(NamedTuple):
    """One of those whose product is the score. `percent`: of the largest among the candidates, for a bar."""

    label: str
    value: float
    percent: int

    @property
    def shown(self) -> str:
        return in_figures(self.value)


@dataclass(slots=True)
class Line:
    """A candidate. `offer` is None for an item that is not there any more."""

    candidate: Candidate
    offer: OfferItem | None
    factors: list[Factor] = field(default_factory=list)
    percent: int = 0
    """Its score, of the best one of its strategy."""

    @property
    def name(self) -> str:
        return self.offer.name if self.offer else self.candidate.offer

    @property
    def picture(self) -> str:
        looks = self.offer.representations.all() if self.offer else []
        return next((one.image_url for one in looks if one.image_url), "")

    @property
    def label(self) -> Promise | str:
        return LABELS[self.candidate.code][0] if self.candidate.code in LABELS else self.candidate.code

    @property
    def tone(self) -> str:
        return LABELS[self.candidate.code][1] if self.candidate.code in LABELS else "default"

    @property
    def score(self) -> str:
        return "" if self.candidate.score is None else in_figures(self.candidate.score)

    @property
    def is_chosen(self) -> bool:
        return self.candidate.code in {Code.CHOSEN, Code.FALLBACK}

    @property
    def shown(self) -> int | None:
        return round(self.candidate.sums[0]) if self.candidate.sums else None

    @property
    def taken(self) -> int | None:
        return round(self.candidate.sums[1]) if self.candidate.sums else None


@dataclass(slots=True)
class Group:
    """The candidates of one strategy, those that can be had first. `strategy` is None for the fallback."""

    key: str
    strategy: SelectionStrategy | None
    lines: list[Line]

    @property
    def name(self) -> str:
        return self.strategy.name if self.strategy else self.key

    @property
    def is_by_lot(self) -> bool:
        return any(line.candidate.reason.startswith("By lot") for line in self.lines)


def explain(candidates: Iterable[Candidate], order: Sequence[str] = ()) -> list[Group]:
    """Groups in the order of these keys of strategies, others behind them. Three statements, however many."""
    rows = list(candidates)
    found = OfferItem.objects.filter(key__in={row.offer for row in rows}).prefetch_related("representations")
    offers = {offer.key: offer for offer in found}
    keys = list(dict.fromkeys([*order, *(row.strategy for row in rows)]))
    strategies = {one.key: one for one in SelectionStrategy.objects.filter(key__in=keys)}
    groups = []
    for key in keys:
        lines = [Line(row, offers.get(row.offer)) for row in rows if row.strategy == key]
        if lines:
            lines.sort(key=lambda line: (line.candidate.rank is None, line.candidate.rank or 0))
            _measure(lines)
            groups.append(Group(key, strategies.get(key), lines))
    return groups


def chosen(groups: Iterable[Group]) -> list[Line]:
    """What somebody got, best first."""
    return [line for group in groups for line in group.lines if line.is_chosen]


def _measure(lines: Sequence[Line]) -> None:
    best = max((line.candidate.score or 0 for line in lines), default=0)
    most: Mapping[str, float] = {
        name: max((_factor(line, name) for line in lines if line.candidate.factors), default=0)
        for name, _label in FACTORS
    }
    for line in lines:
        line.percent = _percent(line.candidate.score or 0, best)
        if line.candidate.factors:
            line.factors = [
                Factor(str(label), _factor(line, name), _percent(_factor(line, name), most[name]))
                for name, label in FACTORS
            ]


def _factor(line: Line, name: str) -> float:
    """The record has logarithms; people multiply."""
    return math.exp((line.candidate.factors or {}).get(name, 0.0))


def in_figures(value: float) -> str:
    """Three figures that count: a score is compared, not added up."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _percent(value: float, most: float) -> int:
    return max(1, round(100 * value / most)) if most > 0 and value > 0 else 0
