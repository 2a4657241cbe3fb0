"""The page that shows the mailbox as phones: text messages and pushes, by person, with a way to answer.

The mailbox process knows numbers and tokens; whose they are is looked up here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from csp.decorators import csp_update
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from ajo.views_mailbox import LIST_LIMIT, MailboxUnavailable, ask, ask_json, mailbox_door, tell
from channels.models import Device
from channels.tracking.links import web_address
from profiles.identity import PHONE
from profiles.models import Identity, Profile

CHANNELS = ("sms", "push")
_PICTURES = {"img-src": ["https:", "http:"]}


@csp_update(_PICTURES)
@mailbox_door(speaks_json=False)
def phones(request: HttpRequest) -> HttpResponse:
    """The people on the left, one phone on the right. Query: `to` (a number or a token), `channel` (sms or push)."""
    return _page(request)


def _page(request: HttpRequest, *, problem: str = "", to: str = "") -> HttpResponse:
    channel = request.GET.get("channel", "")
    channel = channel if channel in CHANNELS else ""
    chosen = to or request.GET.get("to", "").strip()
    people = ask_json("/phone.json", channel=channel, limit=LIST_LIMIT)["people"]
    if not chosen and people:
        chosen = people[0]["address"]
    messages = (
        ask_json("/phone.json", to=chosen, channel=channel, limit=LIST_LIMIT)["messages"] if chosen else []
    )
    newest = max((int(each["id"]) for each in messages), default=0)
    names = _names([*(person["address"] for person in people), chosen])
    for person in people:
        person["last_at"] = datetime.fromisoformat(person["last_at"])
        person["name"] = names.get(person["address"], "")
        person["query"] = urlencode(
            {name: value for name, value in (("to", person["address"]), ("channel", channel)) if value}
        )
    for message in messages:
        message["received_at"] = datetime.fromisoformat(message["received_at"])
        message["link"] = web_address(message.get("link_url", "") or "") or ""
        message["image"] = web_address(message.get("image_url", "") or "") or ""
    answerable = next((each for each in messages if each["channel"] == "sms" and not each["is_reply"]), None)
    context = {
        "people": people,
        "messages": messages[::-1],
        "newest_id": newest,
        "to": chosen,
        "name": names.get(chosen, ""),
        "has_chosen": bool(to or request.GET.get("to")),
        "channel": channel,
        "answerable": answerable,
        "problem": problem,
        "poll": "?" + urlencode({"to": chosen, "channel": channel}),
        "list_limit": LIST_LIMIT,
    }
    return render(request, "mailbox/phones.html", context)


@mailbox_door(speaks_json=True)
def phones_json(request: HttpRequest) -> HttpResponse:
    """What phones received, newest first, as the mailbox process tells it; `to`, `channel`, `after`, `limit`."""
    asked = {name: request.GET.get(name, "") for name in ("to", "channel", "after", "limit")}
    return HttpResponse(ask("/phone.json", **asked), content_type="application/json")


@csp_update(_PICTURES)
@mailbox_door(speaks_json=False, takes_post=True)
def reply(request: HttpRequest, number: int) -> HttpResponse:
    """The person answers a text message; the answer goes where a real one would."""
    to, text = request.POST.get("to", ""), request.POST.get("text", "").strip()
    if not text:
        return _page(request, problem=_("Write what the person answers."), to=to)
    try:
        tell(f"/phone/{number}/reply.json", {"text": text})
    except MailboxUnavailable as error:
        return _page(request, problem=str(error), to=to)
    return HttpResponseRedirect(f"{reverse('mailbox-phones')}?{urlencode({'to': to})}")


def _names(addresses: Iterable[str]) -> dict[str, str]:
    """Whose a number or a token is, where we know it. In three statements."""
    wanted = {address for address in addresses if address}
    owners = dict(
        Identity.objects.filter(namespace_id=PHONE, value__in=wanted).values_list("value", "profile_id")
    )
    owners |= dict(Device.objects.filter(token__in=wanted).values_list("token", "profile_id"))
    profiles = Profile.objects.in_bulk(set(owners.values()))
    return {
        address: _name(profiles[owner].attributes) for address, owner in owners.items() if owner in profiles
    }


def _name(attributes: Mapping[str, Any]) -> str:
    full = " ".join(str(attributes.get(key) or "") for key in ("first_name", "last_name")).strip()
    return full or str(attributes.get("email") or "")
