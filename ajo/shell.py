"""The shell around every screen: where one can go, what one can do from anywhere, and the home page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.dataclasses import SearchResult

from ajo import reports
from ajo.demo import WELCOME_EVENT
from channels.models import Message
from profiles.models import Source

BADGE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the navigation: the pages of one model, for those who may see it."""

    title: Promise
    icon: str
    model: str
    url_name: str = ""
    is_section: bool = False
    """Whether all pages below `url_name` are its own, and none by the name of the model."""

    def is_open_to(self, user: Any) -> bool:
        app, name = self.model.split(".")
        return user.has_perm(f"{app}.view_{name}") or user.has_perm(f"{app}.change_{name}")

    @property
    def url(self) -> str:
        return reverse(self.url_name or f"admin:{self.model.replace('.', '_')}_changelist")

    def holds(self, path: str) -> bool:
        """Whether the page at `path` belongs here."""
        if self.is_section:
            return path.startswith(self.url)
        return path.startswith(f"{reverse('admin:index')}{self.model.replace('.', '/')}/")


@dataclass(frozen=True, slots=True)
class Verb:
    """Something one can begin from anywhere."""

    title: Promise
    icon: str
    permission: str
    url_name: str


GROUPS: tuple[tuple[Promise, tuple[Place, ...]], ...] = (
    (
        _("Journeys"),
        (
            Place(_("Journeys"), "route", "journeys.journey"),
            Place(_("Instances"), "directions_walk", "journeys.journeyinstance"),
        ),
    ),
    (
        _("Campaigns"),
        (
            Place(_("Campaigns"), "campaign", "campaigns.campaign"),
            Place(_("Notices"), "notifications_active", "campaigns.notice"),
            Place(_("Live views"), "monitoring", "notices.liveview"),
        ),
    ),
    (_("Content"), (Place(_("Content"), "mail", "channels.content"),)),
    (
        _("Offers"),
        (
            Place(_("Offer items"), "sell", "offers.offeritem"),
            Place(_("Collections"), "category", "offers.collection"),
            Place(_("Selection strategies"), "sort", "offers.selectionstrategy"),
            Place(_("Decision policies"), "rule", "offers.decisionpolicy"),
            Place(_("Placements"), "ad_units", "offers.placement"),
            Place(
                _("Simulate"), "science", "offers.decisionpolicy", url_name="offers-simulate", is_section=True
            ),
            Place(_("Decisions"), "fact_check", "offers.decision"),
        ),
    ),
    (
        _("People"),
        (
            Place(_("Profiles"), "group", "profiles.profile"),
            Place(_("Audiences"), "groups", "profiles.audience"),
            Place(_("Lookups"), "table", "profiles.lookup"),
            Place(_("Code pools"), "confirmation_number", "profiles.codepool"),
            Place(_("Attributes"), "badge", "profiles.attributedefinition"),
            Place(_("Event types"), "bolt", "profiles.eventtype"),
            Place(_("Sources"), "input", "profiles.source"),
            Place(_("Devices"), "smartphone", "channels.device"),
        ),
    ),
    (
        _("Messages"),
        (
            Place(_("Messages"), "outbox", "channels.message"),
            Place(_("Send holds"), "front_hand", "channels.sendhold"),
            Place(_("Suppressions"), "block", "channels.suppression", url_name="suppressions"),
            Place(_("Contact policy"), "do_not_disturb_on", "channels.contactpolicy"),
        ),
    ),
    (
        _("Reports"),
        (Place(_("Reports"), "monitoring", "channels.messagecount", url_name="reports", is_section=True),),
    ),
    (
        _("Administration"),
        (
            Place(_("Users"), "person", "core.user"),
            Place(_("Roles"), "shield_person", "auth.group"),
            Place(_("API keys"), "key", "core.apikey"),
            Place(_("Channel configurations"), "settings_input_antenna", "channels.channelconfiguration"),
            Place(_("Quarantined events"), "report", "profiles.quarantinedevent"),
            Place(_("Audit trail"), "history", "core.auditevent"),
        ),
    ),
)
VERBS = (
    Verb(_("New journey"), "add_road", "journeys.add_journey", "admin:journeys_journey_add"),
    Verb(_("New campaign"), "campaign", "campaigns.add_campaign", "admin:campaigns_campaign_add"),
    Verb(_("New notice"), "notifications_active", "campaigns.add_notice", "admin:campaigns_notice_add"),
    Verb(_("New content"), "mail", "channels.add_content", "admin:channels_content_add"),
    Verb(_("New offer item"), "sell", "offers.add_offeritem", "admin:offers_offeritem_add"),
    Verb(_("New audience"), "groups", "profiles.add_audience", "admin:profiles_audience_add"),
    Verb(_("New source"), "input", "profiles.add_source", "admin:profiles_source_add"),
    Verb(_("New attribute"), "badge", "profiles.add_attributedefinition", "admin:profiles_attributedefinition_add"),
    Verb(_("New user"), "person_add", "core.add_user", "admin:core_user_add"),
    Verb(_("New API key"), "key", "core.add_apikey", "admin:core_apikey_add"),
    Verb(_("Hold sending"), "front_hand", "channels.add_sendhold", "admin:channels_sendhold_add"),
)  # fmt: skip


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """For Unfold's sidebar: only what the reader may open; an empty group is left out."""
    index = reverse("admin:index")
    home = {"title": _("Home"), "icon": "home", "link": index, "active": request.path == index}
    groups: list[dict[str, Any]] = [{"title": "", "items": [home]}]
    for title, places in GROUPS:
        if items := [_item(request, place) for place in places if place.is_open_to(request.user)]:
            groups.append({"title": title, "items": items})
    groups.append({"title": _("Help"), "items": list(_help())})
    return groups


def _item(request: HttpRequest, place: Place) -> dict[str, Any]:
    item = {
        "title": place.title,
        "icon": place.icon,
        "link": place.url,
        "active": place.holds(request.path),
    }
    if place.model == "channels.message" and (
        count := cache.get_or_set("uncertain", _uncertain, BADGE_SECONDS)
    ):
        item |= {"badge": str(count), "badge_variant": "warning"}
    return item


def _uncertain() -> int:
    return reports.recent_messages().get(Message.State.UNCERTAIN, 0)


def _help() -> Iterator[dict[str, Any]]:
    if settings.AJO_MAILBOX_URL:
        yield {"title": _("Mailbox"), "icon": "inbox", "link": reverse("mailbox")}
    yield {"title": _("Docs"), "icon": "menu_book", "link": reverse("docs-index")}
    yield {"title": _("API"), "icon": "api", "link": reverse("api-docs")}


def account_links(request: HttpRequest) -> list[dict[str, Any]]:
    """The menu under the reader's name."""
    return [
        {"title": _("My account"), "link": reverse("account")},
        {"title": _("Change password"), "link": reverse("admin:password_change")},
    ]


def commands(request: HttpRequest, term: str) -> list[SearchResult]:
    """For the command palette: what one can do and where one can go whose title holds `term`."""
    found = [
        SearchResult(str(verb.title), gettext("Action"), reverse(verb.url_name), verb.icon)
        for verb in VERBS
        if request.user.has_perm(verb.permission)
    ]
    places = [*account_links(request), *_help()]
    found += [
        SearchResult(str(place["title"]), gettext("Page"), place["link"], place.get("icon", "person"))
        for place in places
    ]
    return [each for each in found if term in each.title.lower()]


# --- the home page -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that needs a person: a sentence, and where to look into it."""

    text: str
    url: str
    tone: str = "bad"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the first run: done, or what to do and where."""

    title: str
    text: str
    url: str
    is_done: bool


def home(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the page shows beyond the frame: a dozen bounded statements."""
    overview = reports.overview()
    steps = _first_steps(request, overview)
    source = None
    if request.user.has_perm("profiles.view_source"):
        source = Source.objects.filter(is_active=True).order_by("id").first()
    return context | {
        "title": _("Home"),
        "overview": overview,
        "notices": list(_notices(request, overview)),
        "verbs": [
            {"title": verb.title, "icon": verb.icon, "url": reverse(verb.url_name)}
            for verb in VERBS
            if request.user.has_perm(verb.permission)
        ],
        "steps": steps if not all(step.is_done for step in steps) else [],
        "source": source,
        "welcome_event": WELCOME_EVENT,
        "public_url": settings.AJO_PUBLIC_URL,
        "has_mailbox": bool(settings.AJO_MAILBOX_URL),
    }


def _first_steps(request: HttpRequest, overview: reports.Overview) -> list[Step]:
    """From nothing to a first message: for those who may take every step."""
    if not request.user.has_perms(["channels.add_content", "journeys.add_journey"]):
        return []
    return [
        Step(
            gettext("Send an event"),
            gettext("From your website, app or server, with any client that speaks Segment’s spec."),
            reverse("docs-page", args=["events"]),
            bool(overview.events),
        ),
        Step(
            gettext("Write an email"),
            gettext("Subject and words, with what you know about each person."),
            reverse("admin:channels_content_changelist"),
            overview.has_content,
        ),
        Step(
            gettext("Draw a journey"),
            gettext("Who enters, what happens, when it ends. Publish it, and people walk."),
            reverse("admin:journeys_journey_changelist"),
            bool(overview.journeys),
        ),
    ]


def _notices(request: HttpRequest, overview: reports.Overview) -> Iterator[Notice]:
    for part in overview.silent_workers:
        yield Notice(
            gettext("The worker “%(part)s” has not reported for 15 seconds.") % {"part": part},
            reverse("healthz"),
        )
    if overview.holds and request.user.has_perm("channels.view_sendhold"):
        yield Notice(
            ngettext(
                "%(n)s send hold keeps messages back.", "%(n)s send holds keep messages back.", overview.holds
            )
            % {"n": overview.holds},
            reverse("admin:channels_sendhold_changelist"),
            "warn",
        )
    if request.user.has_perm("channels.view_message"):
        messages = reverse("admin:channels_message_changelist")
        for state in overview.message_states:
            if state.needs_attention:
                yield Notice(
                    gettext("%(count)s of the latest messages: %(state)s.")
                    % {"count": state.count, "state": state.label},
                    f"{messages}?state__exact={state.value}",
                    "bad" if state.tone == "bad" else "warn",
                )
    if overview.quarantined.n and request.user.has_perm("profiles.view_quarantinedevent"):
        yield Notice(
            gettext("%(count)s events were put aside because reacting to them failed.")
            % {"count": overview.quarantined},
            reverse("admin:profiles_quarantinedevent_changelist"),
        )
