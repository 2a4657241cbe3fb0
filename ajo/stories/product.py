"""A running product as those see it who are outside: events in, the REST API, pages, the mailbox."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from html import unescape
from typing import Any, TypeVar
from uuid import uuid4

import requests

from ajo.stories.cast import Person
from ajo.views_mailbox import MailboxUnavailable, ask_json

T = TypeVar("T")
Row = dict[str, Any]
SECONDS = 60.0
"""How long anything may take; on an idle machine it is a second or two."""
_POLL_SECONDS = 0.1
_TIMEOUT = 30
_BATCH = 100


class Broken(Exception):
    """Something that must hold does not; a sentence for people."""


def judge(problems: Sequence[str]) -> None:
    """Raises Broken when there are any."""
    if problems:
        raise Broken(" ".join(problems))


class Product:
    """What `demo.json` opens."""

    def __init__(self, *, url: str, write_key: str, api_key: str) -> None:
        self.url = url
        self._write_key = write_key
        self._session = _session()
        self._api_key = api_key

    def send(self, events: Sequence[Row]) -> None:
        """Events as an app or a shop server sends them, taken durably when this returns."""
        for first in range(0, len(events), _BATCH):
            batch = [{"messageId": uuid4().hex, **event} for event in events[first : first + _BATCH]]
            answer = self._call("POST", "/v1/batch", json={"batch": batch}, auth=(self._write_key, ""))
            if refused := answer.json().get("errors"):
                raise Broken(f"The product refused an event: {refused[0]}.")

    def get(self, path: str, **query: Any) -> Any:
        return self._api("GET", path, params=query).json()

    def rows(self, path: str, **query: Any) -> Iterator[Row]:
        """Every row of a list, page by page."""
        page = self.get(path, limit=200, **query)
        while True:
            yield from page["results"]
            if not page["next"]:
                return
            page = self._api("GET", page["next"]).json()

    def post(self, path: str, body: Row | None = None) -> Any:
        return self._api("POST", path, json=body, headers={"Idempotency-Key": uuid4().hex}).json()

    def put(self, path: str, body: Row) -> Any:
        return self._api("PUT", path, json=body).json()

    def opt_out(self, profile_id: str, channel: str) -> None:
        """The person wants no marketing on this channel any more."""
        self.put(
            f"/profiles/{profile_id}/consents/{channel}/",
            {"state": "opted_out", "reason": "Said so at the till"},
        )

    def profile_ids(self, people: Sequence[Person]) -> dict[str, Person]:
        """The people by the ids of their profiles, once all of them are known."""
        found: dict[str, Person] = {}
        for person in people:
            (row,) = wait_for(partial(self._profiles_of, person), f"the profile of {person.name}")
            found[row["id"]] = person
        return found

    def _profiles_of(self, person: Person) -> list[Row]:
        found: list[Row] = self.get("/profiles/", user_id=person.user_id)["results"]
        return found

    def members(self, audience: str) -> set[str]:
        """The ids of the profiles that are in it."""
        return {row["profile"] for row in self.rows(f"/audiences/{audience}/members/")}

    def messages(self, **query: Any) -> list[Row]:
        return list(self.rows("/messages/", **query))

    def mails(self, address: str) -> list[Row]:
        """What arrived for an address, newest first."""
        return _received("/messages.json", to=address, limit=50, bodies=1)

    def pushes(self, token: str) -> list[Row]:
        """What arrived on a phone, newest first."""
        return _received("/phone.json", to=token, channel="push", limit=50)

    def person_page(self, profile_id: str) -> str:
        return f"{self.url}/admin/profiles/profile/{profile_id}/change/"

    def api_status(self, path: str, session: requests.Session) -> int:
        """How the API answers somebody who is signed in on its pages."""
        return session.get(f"{self.url}/api/v1{path}", timeout=_TIMEOUT).status_code

    def _api(self, method: str, path: str, **more: Any) -> requests.Response:
        where = path if path.startswith("http") else f"/api/v1{path}"
        headers = {"Authorization": f"Api-Key {self._api_key}", **more.pop("headers", {})}
        return self._call(method, where, headers=headers, **more)

    def _call(self, method: str, path: str, **more: Any) -> requests.Response:
        url = path if path.startswith("http") else f"{self.url}{path}"
        try:
            answer = self._session.request(method, url, timeout=_TIMEOUT, **more)
        except requests.RequestException as error:
            raise Broken(
                f"The product at {self.url} does not answer ({error.__class__.__name__}). Start it with `make run`."
            ) from error
        if not answer.ok:
            raise Broken(f"{method} {path} was answered with {answer.status_code}: {answer.text[:500]}")
        return answer


class Pages:
    """Somebody who is signed in and clicks through the pages: no script, only links and forms."""

    def __init__(self, product: Product, login: str, password: str) -> None:
        self._url = product.url
        self.session = _session()
        page = self.open("/admin/login/")
        self.send(page, "/admin/login/", username=login, password=password)
        if "sessionid" not in self.session.cookies:
            raise Broken(f"{login} could not sign in with the password of demo.json.")

    def open(self, path: str, **query: str) -> requests.Response:
        """The page, wherever it leads. Raises Broken for one that is refused."""
        answer = self.session.get(f"{self._url}{path}", params=query, timeout=_TIMEOUT)
        if not answer.ok:
            raise Broken(f"The page {path} was answered with {answer.status_code}.")
        return answer

    def status(self, path: str) -> int:
        """How a page answers, where it stands."""
        return self.session.get(f"{self._url}{path}", allow_redirects=False, timeout=_TIMEOUT).status_code

    def send(self, page: requests.Response, path: str = "", **fields: str) -> requests.Response:
        """Fill in the form of a page and send it; what it leads to."""
        given = {name: value for name in ("csrfmiddlewaretoken", "form_id") if (value := _field(page, name))}
        url = f"{self._url}{path}" if path else page.url
        answer = self.session.post(url, {**given, **fields}, headers={"Referer": page.url}, timeout=_TIMEOUT)
        if not answer.ok:
            raise Broken(f"The form of {page.url} was answered with {answer.status_code}.")
        return answer


def words_of(page: requests.Response) -> str:
    """The text of a page, as somebody reads it."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page.text)))


def wait_for(
    probe: Callable[[], T], what: str, *, seconds: float = SECONDS, poll: float = _POLL_SECONDS
) -> T:
    """Ask until the answer is true. Raises Broken."""
    ends_at = time.monotonic() + seconds
    while not (answer := probe()):
        if time.monotonic() >= ends_at:
            raise Broken(
                f"Waited {seconds:.0f} s for {what}. `manage.py doctor` says whether all parts of the product run."
            )
        time.sleep(poll)
    return answer


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # it is all on this machine: no proxy, no password file
    return session


def _received(path: str, **query: Any) -> list[Row]:
    try:
        found: list[Row] = ask_json(path, **query)["messages"]
    except MailboxUnavailable as error:
        raise Broken(str(error)) from error
    return found


def _field(page: requests.Response, name: str) -> str:
    found = re.search(rf'name="{name}"[^>]*\bvalue="([^"]*)"', page.text)
    return unescape(found[1]) if found else ""


def as_query(fields: Mapping[str, str]) -> dict[str, str]:
    """What somebody fills into the form of a notice, as its page has it in its address."""
    return {f"notice-{name}": value for name, value in fields.items()}
