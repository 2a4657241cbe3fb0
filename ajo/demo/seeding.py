"""The whole demo in one transaction: people and their history, logins, sources, the welcome journey, the stories."""

from __future__ import annotations

import itertools
import json
import os
import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from ajo.core.models import ApiKey, User
from ajo.core.scopes import SCOPES
from ajo.demo import BRAND, SENDER_ADDRESS, WELCOME_EVENT, showroom, welcome
from ajo.demo.history import EVENT_TYPES, history
from ajo.demo.people import ATTRIBUTES, people
from ajo.demo.writer import make_staging, write_history, write_people
from ajo.lib import sql
from ajo.runtime import paths
from channels import devices
from channels import services as contents
from channels.devices import FCM, WEB_PUSH, Registration
from channels.models import ChannelConfiguration
from journeys import services as journeys
from journeys.models import ReEntry
from profiles.models import AttributeDefinition, Channel, Consent, EventType, Source
from profiles.partitions import ensure_partitions

LOGIN = "demo"
SOURCES = {"website": "Website", "app": "Mobile app", "server": "Shop server"}
CHUNK = 5_000
_TABLES = "profile, identity, consent, event, profile_event, profile_daily"

MakeSecret = Callable[[], str]


@dataclass(frozen=True, slots=True)
class Installation:
    """What somebody needs to try the demo; the contents of `demo.json`."""

    url: str
    login: str
    password: str
    write_key: str
    api_key: str
    welcome_event: str
    operations_login: str
    operations_password: str


def random_secret() -> str:
    return secrets.token_urlsafe(15)


def seeded_secrets(seed: int) -> MakeSecret:
    """Passwords and write keys that a test knows beforehand. Never for an installation that others can reach."""
    chance = random.Random(f"secrets of {seed}")
    return lambda: f"{chance.getrandbits(120):030x}"


def is_seeded() -> bool:
    """Whether the demo's first source is there."""
    return Source.objects.filter(key=next(iter(SOURCES))).exists()


def seed_demo(*, profiles: int, seed: int, url: str, now: datetime, make_secret: MakeSecret) -> Installation:
    """Write the demo and `demo.json`, all or nothing. The same seed and `now` give the same rows but for secrets."""
    now = now.replace(microsecond=0)
    ensure_partitions(now)
    with sql.unit_of_work() as cur:
        password = make_secret()
        user = _make_user(password)
        sources = {
            key: Source.objects.create(key=key, name=name, write_key=f"wk_{make_secret()}")
            for key, name in SOURCES.items()
        }
        _key, api_key = ApiKey.objects.create_key(name=f"{LOGIN} key", created_by=user, scopes=list(SCOPES))
        operations_password = make_secret()
        operator = showroom.make_operator(operations_password)
        _declare_attributes()
        showroom.begin_late_parcels(user, now)
        app_users = _write_profiles(
            cur, profiles=profiles, seed=seed, sources=list(sources.values()), now=now
        )
        _make_configurations()
        _register_phones(app_users, now)
        _publish_welcome(user, now)
        showroom.furnish(user, seed=seed, url=url, now=now)
        installation = Installation(
            url=url,
            login=LOGIN,
            password=password,
            write_key=sources["website"].write_key,
            api_key=api_key,
            welcome_event=WELCOME_EVENT,
            operations_login=operator.username,
            operations_password=operations_password,
        )
        # Before the commit: a demo whose password nobody knows could not be repaired by a second run.
        write_installation(installation)
    with sql.cursor() as cur:
        cur.execute(f"ANALYZE {_TABLES}")
    return installation


def installation_path() -> Path:
    return paths.home() / "demo.json"


def write_installation(installation: Installation) -> None:
    """Write `demo.json`, readable by its owner only; a reader finds the old file or the new one, never half of it."""
    path = installation_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(installation), file, indent=2)
        file.write("\n")
    unfinished.replace(path)


def _make_user(password: str) -> User:
    user = User.objects.filter(username=LOGIN).first() or User(username=LOGIN)
    user.email = f"{LOGIN}@example.com"
    user.first_name, user.last_name = "Demo", "Administrator"
    user.is_staff = user.is_superuser = True
    user.set_password(password)
    user.save()
    return user


def _declare_attributes() -> None:
    definitions = [
        AttributeDefinition(key=key, label=label, type=type_, sensitivity=sensitivity)
        for key, (label, type_, sensitivity) in ATTRIBUTES.items()
    ]
    AttributeDefinition.objects.bulk_create(definitions, ignore_conflicts=True)


def _write_profiles(
    cur: psycopg.Cursor[Any], *, profiles: int, seed: int, sources: Sequence[Source], now: datetime
) -> list[int]:
    """Returns those who use the app."""
    EventType.objects.bulk_create([EventType(name=name) for name in EVENT_TYPES], ignore_conflicts=True)
    event_type_ids = dict(EventType.objects.filter(name__in=EVENT_TYPES).values_list("name", "pk"))
    source_ids = {source.key: source.pk for source in sources}
    chance = random.Random(seed)
    everybody = itertools.islice(people(chance, now), profiles)
    app_users: list[int] = []
    make_staging(cur)
    # Who comes next depends on what chance did for the person before, so a person and their history are drawn together.
    while chunk := [(person, history(person, chance, now)) for person in itertools.islice(everybody, CHUNK)]:
        ids = write_people(cur, [person for person, _ in chunk])
        happenings = [
            (profile_id, person, event)
            for profile_id, (person, events) in zip(ids, chunk, strict=True)
            for event in events
        ]
        write_history(cur, happenings, source_ids=source_ids, event_type_ids=event_type_ids, now=now)
        app_users += {profile_id for profile_id, _, event in happenings if event.source == "app"}
    return app_users


def _make_configurations() -> None:
    """Ways to send that need no account: without one, a provider uses the mailbox of this installation."""
    rows = [
        ("demo-sms", "SMS of the demo", Channel.SMS, "twilio_sms", "+15005550006"),
        ("demo-push", "App of the demo", Channel.PUSH, FCM, ""),
        ("demo-browser", "Browsers of the demo", Channel.PUSH, WEB_PUSH, ""),
    ]
    for key, name, channel, provider, address in rows:
        ChannelConfiguration.objects.create(
            key=key,
            name=name,
            channel=channel,
            provider=provider,
            settings={},
            sender_name=BRAND,
            sender_address=address,
        )


def _register_phones(app_users: Sequence[int], now: datetime) -> None:
    """Whoever did something in the app or wants its pushes has it on a phone."""
    wanting = Consent.objects.filter(channel=Channel.PUSH, state=Consent.State.OPTED_IN)
    owners = {*app_users, *wanting.values_list("profile_id", flat=True)}
    devices.register(
        [
            Registration(profile_id, FCM, f"demo-phone-of-profile-{profile_id}", now, platform="android")
            for profile_id in sorted(owners)
        ]
    )


def _publish_welcome(user: User, now: datetime) -> None:
    ChannelConfiguration.objects.create(
        key=welcome.CONFIGURATION_KEY,
        name="Email of the demo",
        channel=Channel.EMAIL,
        provider="smtp",
        settings={},  # no server named: the mailbox of this installation
        sender_name=BRAND,
        sender_address=SENDER_ADDRESS,
    )
    draft = contents.save_draft(key=welcome.KEY, name=welcome.NAME, variants=[welcome.words()], user=user)
    contents.publish_content(content=draft.content, user=user, now=now)
    journey = journeys.create_journey(
        key=welcome.KEY,
        name=welcome.NAME,
        user=user,
        description="Greets everybody who joins the loyalty programme.",
    )
    journeys.save_draft(
        journey=journey,
        graph=welcome.graph(),
        re_entry=ReEntry.AFTER_END,  # who tries the demo twice shall see two messages
        revision=journey.versions.get().revision,
        user=user,
    )
    journeys.publish_journey(journey=journey, user=user, now=now)
