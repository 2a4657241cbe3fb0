from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from ajo.lib import sql
from ajo.lib.clocks import find_zone
from journeys.activities import registry
from journeys.activities.base import Activity, Finding, Outcome, Park, Place, Wake, Walk
from journeys.moments import After, At, Next, Rule, next_moment

UNITS = {
    "seconds": (timedelta(seconds=1), _("Seconds")),
    "minutes": (timedelta(minutes=1), _("Minutes")),
    "hours": (timedelta(hours=1), _("Hours")),
    "days": (timedelta(days=1), _("Days")),
    "weeks": (timedelta(weeks=1), _("Weeks")),
}
_COUNTED = {
    "seconds": ngettext_lazy("%(n)d second", "%(n)d seconds", "n"),
    "minutes": ngettext_lazy("%(n)d minute", "%(n)d minutes", "n"),
    "hours": ngettext_lazy("%(n)d hour", "%(n)d hours", "n"),
    "days": ngettext_lazy("%(n)d day", "%(n)d days", "n"),
    "weeks": ngettext_lazy("%(n)d week", "%(n)d weeks", "n"),
}
UNIT_CHOICES = [(key, label) for key, (_length, label) in UNITS.items()]
LONGEST = timedelta(days=3_653)
TOO_LONG = _("This is more than ten years. Choose a shorter time.")
MOST_UNITS = int(LONGEST.total_seconds())

_WEEKDAYS = {
    "monday": _("Monday"),
    "tuesday": _("Tuesday"),
    "wednesday": _("Wednesday"),
    "thursday": _("Thursday"),
    "friday": _("Friday"),
    "saturday": _("Saturday"),
    "sunday": _("Sunday"),
}
_NUMBERS = {day: number for number, day in enumerate(_WEEKDAYS)}
_YEARS = range(2000, 2200)
_READ_ZONES = "SELECT id, attributes->>'time_zone' AS zone FROM profile WHERE id = ANY(%b::bigint[])"


class WallTimeField(serializers.DateTimeField):
    """A date and time as clocks on walls show it: without a zone."""

    default_error_messages = {
        "offset": _("Leave the offset away: the setting “Whose clock” says which zone is meant."),
        "year": _("Choose a year from 2000 to 2199."),
    }

    def enforce_timezone(self, value: datetime) -> datetime:
        if value.tzinfo is not None:
            self.fail("offset")
        if value.year not in _YEARS:
            self.fail("year")
        return value


class Config(serializers.Serializer[Any]):
    until = serializers.ChoiceField(
        choices=[
            ("duration", _("Some time has passed")),
            ("date", _("A date and time")),
            ("weekday", _("A weekday and hour")),
        ],
        label=_("Wait until"),
    )
    amount = serializers.IntegerField(
        default=1,
        min_value=1,
        max_value=MOST_UNITS,
        label=_("How many"),
        help_text=_("Until some time has passed: how much, from one second to ten years."),
        style={"shown_when": {"until": ["duration"]}},
    )
    unit = serializers.ChoiceField(
        choices=UNIT_CHOICES,
        default="days",
        label=_("Unit"),
        help_text=_("A day is 24 hours, also when the clocks change."),
        style={"shown_when": {"until": ["duration"]}},
    )
    date = WallTimeField(
        default=None,
        allow_null=True,
        label=_("Date and time"),
        help_text=_("Whoever comes later goes on at once."),
        style={"shown_when": {"until": ["date"]}},
    )
    weekdays = serializers.ListField(
        child=serializers.ChoiceField(choices=list(_WEEKDAYS.items())),
        default=list,
        max_length=7,
        label=_("Weekdays"),
        help_text=_("People go on on the first of these days that comes."),
        style={"shown_when": {"until": ["weekday"]}},
    )
    time = serializers.TimeField(
        default=time(9),
        label=_("Hour"),
        help_text=_("The time on that day. Whoever comes later on the day waits for the next one."),
        style={"shown_when": {"until": ["weekday"]}},
    )
    zone = serializers.ChoiceField(
        choices=[("person", _("The person's")), ("brand", _("The brand's"))],
        default="person",
        label=_("Whose clock"),
        help_text=_("The time zone of dates and hours. Where the person's is not known, the brand's counts."),
        style={"shown_when": {"until": ["date", "weekday"]}},
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["until"] == "duration" and attrs["amount"] * UNITS[attrs["unit"]][0] > LONGEST:
            raise serializers.ValidationError({"amount": TOO_LONG})
        if attrs["until"] == "date" and attrs["date"] is None:
            raise serializers.ValidationError(
                {"date": _("Choose the date and time until which people wait.")}
            )
        if attrs["until"] == "weekday" and not attrs["weekdays"]:
            raise serializers.ValidationError(
                {"weekdays": _("Choose at least one weekday: without one, nobody would ever go on.")}
            )
        return attrs


@dataclass(frozen=True, slots=True)
class _Prepared:
    rule: Rule
    zone: ZoneInfo
    """The brand's."""
    asks_people: bool
    """The moment depends on the zone of each person."""


@registry.register
class Wait(Activity):
    """Everybody waits, for some time or until a moment. The moment is found once, when the person comes."""

    kind = "wait"
    label = _("Wait")
    category = "flow"
    icon = "schedule"
    help = _("Holds people for some time, until a date, or until a weekday and hour where they live.")
    Config = Config
    may_park = True

    def rests(self, config: Mapping[str, Any]) -> bool:
        return config["until"] != "date"  # after the date, nobody waits any more

    def summary(self, config: Mapping[str, Any]) -> str:
        if config["until"] == "duration":
            return in_words(config["amount"], config["unit"])
        whose = gettext("their clock") if config["zone"] == "person" else gettext("the brand's clock")
        if config["until"] == "date":
            return f"{date_format(config['date'], 'j M Y H:i')}, {whose}"
        days = ", ".join(str(_WEEKDAYS[day]) for day in _WEEKDAYS if day in config["weekdays"])
        return f"{days} {config['time']:%H:%M}, {whose}"

    def problems(self, config: Mapping[str, Any]) -> Sequence[Finding]:
        try:
            _brand_zone()
        except ValueError as error:
            return [Finding(str(error))]
        return []

    def prepare(self, place: Place) -> _Prepared:
        rule = _rule(place.config)
        asks_people = place.config["zone"] == "person" and not isinstance(rule, After)
        return _Prepared(rule, _brand_zone(), asks_people)

    def step(self, walks: Sequence[Walk], place: Place, now: datetime) -> Outcome:
        prepared: _Prepared = place.prepared
        arrived = [walk for walk in walks if walk.wake is Wake.ARRIVED]
        leaving = [walk for walk in walks if walk.wake is not Wake.ARRIVED]
        outcome = Outcome(moved={"next": leaving})
        for zone, group in _by_zone(arrived, prepared).items():
            due_at = next_moment(now, zone, prepared.rule)
            if due_at > now:
                outcome.parked += [Park(walk, due_at) for walk in group]
            else:
                leaving += group
        return outcome


def in_words(amount: int, unit: str) -> str:
    """Such as “3 days”."""
    return str(_COUNTED[unit] % {"n": amount})


def _rule(config: Mapping[str, Any]) -> Rule:
    if config["until"] == "duration":
        return After(config["amount"] * UNITS[config["unit"]][0])
    if config["until"] == "date":
        return At(config["date"])
    return Next(frozenset(_NUMBERS[day] for day in config["weekdays"]), config["time"])


def _brand_zone() -> ZoneInfo:
    if zone := find_zone(settings.AJO_BRAND_TIME_ZONE):
        return zone
    raise ValueError(
        f"AJO_BRAND_TIME_ZONE is {settings.AJO_BRAND_TIME_ZONE!r}, which is no time zone that this machine knows."
        " Set it to a name such as Europe/Berlin."
    )


def _by_zone(walks: Sequence[Walk], prepared: _Prepared) -> Mapping[ZoneInfo, Sequence[Walk]]:
    """The walks by the zone whose clock counts for them; at most one statement."""
    if not walks:
        return {}
    if not prepared.asks_people:
        return {prepared.zone: walks}
    with sql.cursor() as cur:
        cur.execute(_READ_ZONES, [[walk.profile_id for walk in walks]])
        names = {row.id: row.zone for row in cur}
    groups: dict[ZoneInfo, list[Walk]] = defaultdict(list)
    for walk in walks:
        groups[find_zone(names.get(walk.profile_id)) or prepared.zone].append(walk)
    return groups
