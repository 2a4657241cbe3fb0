"""Decisions over HTTP: profile, rules, caps and record, against a bare view that makes one durable insert."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ajo.runtime.process import StartError
from tests.benchmarks import harness

CONNECTIONS = 32
SECONDS = 4.0
PROFILES = 20_000
OFFERS = 20
FLOOR_IS = "a bare Django view on the same server and load that inserts one row, durable"

SCRIPT = """
wrk.method = "POST"
wrk.headers["Authorization"] = "Api-Key %(secret)s"
wrk.headers["Content-Type"] = "application/json"
local counter = 0
local run, first, last
function init(arguments) run, first, last = arguments[1], %(first)d, %(last)d end
function request()
  counter = counter + 1
  local person = first + math.random(0, last - first)
  return wrk.format(nil, "/api/v1/decisions/", nil,
    '{"profile": {"id": "' .. person .. '"}, "policy": "front-page", "placement": "hero", "request_id": "' ..
    run .. "-" .. counter .. '"}')
end
"""


def prepare() -> tuple[str, int, int]:
    """One policy with 20 offer items, each for some, two capping rules on each. Returns a key and the profiles' ids."""
    from ajo.core.models import ApiKey
    from offers.models import (
        CappingRule,
        Collection,
        DecisionPolicy,
        OfferItem,
        Placement,
        PolicyStrategy,
        Representation,
        SelectionStrategy,
    )
    from profiles.models import AttributeDefinition, Channel, Profile

    people = Profile.objects.bulk_create(
        Profile(
            attributes={"email": f"p{n}@example.com", "tier": ("gold", "silver")[n % 2], "age": 18 + n % 60}
        )
        for n in range(PROFILES)
    )
    AttributeDefinition.objects.create(key="age", label="Age", type="number")
    placement = Placement.objects.create(key="hero", name="Hero", channel=Channel.WEB)
    collection = Collection.objects.create(key="all", name="All")
    for n in range(OFFERS):
        offer = OfferItem.objects.create(
            key=f"offer-{n:02}",
            name=f"Offer {n}",
            state=OfferItem.State.APPROVED,
            priority=n,
            attributes={"margin": n},
            eligibility=f'profile.age >= {18 + n} && (profile.tier == "gold" || offer.margin < 15)',
        )
        Representation.objects.create(offer=offer, placement=placement, title=offer.name)
        collection.offers.add(offer)
        CappingRule.objects.create(offer=offer, limit=10**9, scope="total")
        CappingRule.objects.create(offer=offer, limit=10**6, scope="profile", period="day")
    strategy = SelectionStrategy.objects.create(
        key="s", name="S", collection=collection, method="formula", formula="offer.margin + profile.age / 100"
    )
    policy = DecisionPolicy.objects.create(key="front-page", name="Front page")
    PolicyStrategy.objects.create(policy=policy, strategy=strategy, position=1)
    _, secret = ApiKey.objects.create_key(name="bench", scopes=["offers:decide"])
    with harness.connect() as connection:
        connection.execute("VACUUM ANALYZE profile")
    return secret, people[0].pk, people[-1].pk


def run(rounds: int) -> dict[str, Any]:
    secret, first, last = prepare()
    lua = SCRIPT % {"secret": secret, "first": first, "last": last}
    loads, floors = [], []
    with (
        harness.connect() as connection,
        harness.web_server("tests.benchmarks.bare:application") as bare,
        harness.web_server() as deciding,
    ):
        urls = (bare, deciding)
        for url in urls:
            harness.wrk(url, lua, connections=CONNECTIONS, seconds=1, arguments=["warm"])
        for number in range(rounds):
            # In the order in which a decision locks them: the last of the round before may still be at work.
            harness.clear(connection, "decision_key", "cap_counter", "decision", "bench_row")
            floor, load = (
                harness.wrk(
                    url,
                    lua,
                    connections=CONNECTIONS,
                    seconds=SECONDS,
                    arguments=[f"{datetime.now(UTC):%s}-{number}"],
                )
                for url in urls
            )
            stored = connection.execute("SELECT count(*) FROM decision").fetchone()
            if stored is None or stored[0] < load.requests:
                raise StartError("Fewer decisions are recorded than were answered with 200.")
            floors.append(floor)
            loads.append(load)
    return harness.result(
        "decide",
        unit="decisions/s",
        rates=[load.rate for load in loads],
        floors=[load.rate for load in floors],
        floor_is=FLOOR_IS,
        p50_ms=harness.median(load.p50 for load in loads),
        p99_ms=harness.median(load.p99 for load in loads),
        floor_p50_ms=harness.median(load.p50 for load in floors),
        floor_p99_ms=harness.median(load.p99 for load in floors),
    )
