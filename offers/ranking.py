"""Which offer goes first, and by how much. Pure: no database, no clock; randomness comes from the decision's own id.

Learned ranking is Beta Thompson sampling on additive sums: of each offer how often it was shown (n) and taken (r). What
is not known of a new one is filled in from its siblings (`fit_prior`). Everything that is drawn for a decision follows
from its id and the model's version, so that any draw can be repeated later.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np

MIN_STRENGTH, MAX_STRENGTH = 2.0, 200.0
"""How many times shown the prior may weigh: at the least as much as knowing nothing, never so much that an offer's own
history of a day could not overrule it."""
MIN_PROPENSITY = 1e-12
"""A drawn propensity can round to 0, which has no logarithm."""


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed of an offer before it was ever shown."""

    alpha: float
    beta: float

    @property
    def mean(self) -> float:
        return self.alpha / (self.alpha + self.beta)

    @property
    def strength(self) -> float:
        return self.alpha + self.beta


def fit_prior(sums: Iterable[tuple[float, float]]) -> Prior:
    """The Beta that the offers' own rates look drawn from, given (n, r) of each: empirical Bayes by moments.

    Its mean is the pooled rate. It is the stronger, the less the rates differ beyond what chance explains; of fewer
    than two offers with a history nothing can be said about that, so it is as weak as can be.
    """
    known = np.array([(n, min(max(r, 0.0), n)) for n, r in sums if n > 0], dtype=float).reshape(-1, 2)
    n, r = known[:, 0], known[:, 1]
    total = float(n.sum())
    mean = (float(r.sum()) + 1.0) / (total + 2.0)
    strength = MIN_STRENGTH
    if len(n) >= 2:
        spread = float((n * (r / n - mean) ** 2).sum())
        by_chance = mean * (1.0 - mean) * (len(n) - 1)
        room = mean * (1.0 - mean) * (total - float((n**2).sum()) / total - (len(n) - 1))
        correlation = (spread - by_chance) / room if room > 0 else 0.0
        strength = 1.0 / correlation - 1.0 if correlation > 0 else MAX_STRENGTH
    strength = min(max(strength, MIN_STRENGTH), MAX_STRENGTH)
    return Prior(mean * strength, (1.0 - mean) * strength)


@dataclass(frozen=True, slots=True)
class Draw:
    """What one decision drew: by offer a propensity and a lot; `is_exploration` says that the lots rank."""

    is_exploration: bool
    propensities: Mapping[int, float]
    lots: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Model:
    """The sums of a strategy's offers at one moment. Equal sums have the same version."""

    name: str
    sums: Mapping[int, tuple[float, float]]
    """Offer id → (n, r)."""
    prior: Prior = field(init=False)
    version: str = field(init=False)

    def __post_init__(self) -> None:
        # Sorted, because adding floats up in another order gives another last digit, and so other draws.
        rows = sorted((offer, float(n), float(r)) for offer, (n, r) in self.sums.items())
        object.__setattr__(self, "prior", fit_prior((n, r) for _, n, r in rows))
        text = f"{self.name} {rows}"
        object.__setattr__(self, "version", hashlib.blake2b(text.encode(), digest_size=8).hexdigest())

    def draw(self, decision_id: UUID, exploration: float) -> Draw:
        """The draws of a decision, the same each time. `exploration` is the share of decisions ranked by lot.

        Drawn for all offers in the order of their ids, eligible or not, so that what else changes moves no draw.
        """
        generator = np.random.default_rng(_seed(decision_id, self.version))
        is_exploration = bool(generator.random() < exploration)
        offers = sorted(self.sums)
        lots = generator.random(len(offers))
        n, r = (np.array([self.sums[offer][i] for offer in offers], dtype=float) for i in (0, 1))
        taken = np.clip(r, 0.0, n)  # a reward can be known before the showing that earned it
        drawn = generator.beta(self.prior.alpha + taken, self.prior.beta + n - taken)
        return Draw(
            is_exploration,
            dict(zip(offers, np.maximum(drawn, MIN_PROPENSITY).tolist(), strict=True)),
            dict(zip(offers, lots.tolist(), strict=True)),
        )


def _seed(decision_id: UUID, version: str) -> int:
    return int.from_bytes(hashlib.blake2b(decision_id.bytes + version.encode(), digest_size=16).digest())


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate with its score; `factors` are the logarithms whose sum is that of the score, where it has such."""

    offer: str
    priority: int
    score: float
    factors: Mapping[str, float] = field(default_factory=dict)


def arbitrate(
    offer: str,
    priority: int,
    *,
    propensity: float,
    context: float,
    value: float,
    lever: int,
    propensity_weight: float = 1.0,
) -> Scored:
    """P ^ weight × C × V × L, added up in logarithms. All are above 0; the lever is a percentage above -100."""
    factors = {
        "propensity": propensity_weight * math.log(propensity),
        "context": math.log(context),
        "value": math.log(value),
        "lever": math.log1p(lever / 100),
    }
    return Scored(offer, priority, math.exp(math.fsum(factors.values())), factors)


def in_order(candidates: Iterable[Scored]) -> list[Scored]:
    """The best first. Of two equal ones that with the higher priority, then the one whose key comes first."""
    return sorted(candidates, key=lambda one: (-one.score, -one.priority, one.offer))


def shares(winner: Scored, loser: Scored) -> dict[str, float]:
    """How much each factor adds to log(winner's score / loser's score); they sum up to it. Empty without factors."""
    return {
        name: winner.factors[name] - loser.factors[name] for name in winner.factors if name in loser.factors
    }


def ordinal(rank: int) -> str:
    ending = "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{ending}"


def went_ahead(rank: int, winner: Scored, following: Scored | None) -> str:
    """Why a candidate was chosen, in words, such as "Ranked 1st: 0.61, ahead of b with 0.42."."""
    begin = f"Ranked {ordinal(rank)}: {winner.score:.4g}"
    if following is None:
        return f"{begin}, and nothing stood behind it."
    return f"{begin}, ahead of {following.offer} with {following.score:.4g}{_margin(winner, following)}."


def fell_behind(rank: int, loser: Scored, winner: Scored) -> str:
    """Why a candidate was not chosen, in words; `winner` is the last that was."""
    begin = f"Ranked {ordinal(rank)}: {loser.score:.4g}"
    if loser.score == winner.score:
        broken = "priority" if loser.priority != winner.priority else "key"
        return f"{begin}, equal to {winner.offer}, which goes first by its {broken}."
    return f"{begin}, below {winner.offer} with {winner.score:.4g}{_margin(winner, loser)}."


def _margin(winner: Scored, loser: Scored) -> str:
    parts = [(name, share) for name, share in shares(winner, loser).items() if abs(share) >= 0.005]
    if not parts:
        return ""
    listed = ", ".join(f"{name} {share:.2f}" for name, share in sorted(parts, key=lambda part: -part[1]))
    return f" (a margin of {sum(share for _, share in parts):.2f}, of which {listed})"
