"""One harness for each provider: how to make its service behave, and what the service itself says that it took."""

from __future__ import annotations

import base64
import json
import re
from functools import cache
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from channels import anymail
from channels.providers import fcm, registry, smtp, twilio_sms, web_push
from channels.providers.base import Outgoing, Provider
from tests.channels.contract.service import Deaf, Mood, Reply, Request, Service
from tests.mailbox import HOST, Mailbox

SECRET = "a-secret-that-nobody-may-read"
NAMES_RETRY = 7.0


class Harness:
    """A provider and its service. `kind` is the provider's."""

    kind: ClassVar[str]
    moods: ClassVar[frozenset[Mood]] = frozenset(Mood)
    """What the service can do at all."""
    uncertain: ClassVar[frozenset[Mood]] = frozenset(
        {Mood.HANG, Mood.DROP, Mood.HALF, Mood.RUBBISH, Mood.BROKEN}
    )
    """After which nobody can tell whether the message was taken."""
    names_retry: ClassVar[bool] = True
    """Whether the service says when to come again."""

    def __init__(self, tmp_path: Path, settings: Any, patch: pytest.MonkeyPatch) -> None:
        self.tmp_path = tmp_path
        self.settings = settings
        self.patch = patch
        self.moods_by_mark: dict[str, Mood] = {}

    def start(self) -> None:
        """Bring the service up."""
        raise NotImplementedError

    def stop(self) -> None:
        """Take it down again."""
        raise NotImplementedError

    def provider(self) -> Provider:
        """The provider, configured for the service, with short time-outs."""
        raise NotImplementedError

    def make_deaf(self) -> None:
        """From now on nobody can connect, and trying takes longer than the provider's time-out."""
        raise NotImplementedError

    def outgoing(self, number: int, mood: Mood) -> Outgoing:
        """A message that the service will treat so."""
        raise NotImplementedError

    def taken(self) -> list[int]:
        """The numbers of the messages that the service took, in order, repeats and all."""
        raise NotImplementedError


class SmtpHarness(Harness):
    kind = "smtp"
    moods = frozenset({Mood.ACCEPT, Mood.REFUSE, Mood.THROTTLE, Mood.HANG, Mood.DROP})
    names_retry = False
    _TAGS: ClassVar = {
        Mood.ACCEPT: "",
        Mood.REFUSE: "+reject550",
        Mood.THROTTLE: "+tempfail451",
        Mood.HANG: "+hang-after-data",
        Mood.DROP: "+drop-after-data",
    }

    def start(self) -> None:
        self.mailbox = Mailbox(self.tmp_path)
        self.mailbox.start()
        self.address = f"{HOST}:{self.mailbox.smtp_port}"
        self.deaf: Deaf | None = None

    def stop(self) -> None:
        self.mailbox.stop()
        if self.deaf is not None:
            self.deaf.stop()

    def provider(self) -> Provider:
        self.settings.AJO_MAILBOX_SMTP = self.address
        return smtp.SmtpProvider({"timeout": 1.0})

    def make_deaf(self) -> None:
        self.deaf = Deaf()
        self.address = f"{HOST}:{self.deaf.port}"

    def outgoing(self, number: int, mood: Mood) -> Outgoing:
        body = f"Message-ID: <{number}@test>\r\nSubject: Hi\r\n\r\nHi".encode()
        return Outgoing(
            number, f"p{number}{self._TAGS[mood]}@example.com", "hello@brand.example", body, f"key-{number}"
        )

    def taken(self) -> list[int]:
        return [int(line["rcpt"][0].partition("@")[0].partition("+")[0][1:]) for line in self.mailbox.log()]


class HttpHarness(Harness):
    """For services that speak HTTP. A message is known by its mark, which a request must carry."""

    def start(self) -> None:
        self.service = Service(self._answer)
        self.url = self.service.url
        self.deaf: Deaf | None = None

    def stop(self) -> None:
        self.service.stop()
        if self.deaf is not None:
            self.deaf.stop()

    def make_deaf(self) -> None:
        self.deaf = Deaf()
        self.url = f"http://{HOST}:{self.deaf.port}"

    def taken(self) -> list[int]:
        return [self.number_of(request) for request in self.service.taken]

    def _answer(self, request: Request) -> tuple[Mood, Reply]:
        mood = self.moods_by_mark[str(self.number_of(request))]
        if mood is Mood.RUBBISH:
            return mood, Reply(200, b'{"half": ')
        if mood is Mood.BROKEN:
            return mood, Reply(500, b"<html>Internal error, token " + SECRET.encode() + b"</html>")
        return mood, self.reply(mood, self.number_of(request))

    def number_of(self, request: Request) -> int:
        """Which message a request is about."""
        raise NotImplementedError

    def reply(self, mood: Mood, number: int) -> Reply:
        """The service's own words for ACCEPT, REFUSE and THROTTLE."""
        raise NotImplementedError


class TwilioHarness(HttpHarness):
    kind = "twilio_sms"

    def provider(self) -> Provider:
        self.patch.setenv("TWILIO_AUTH_TOKEN", SECRET)
        self.patch.setattr(twilio_sms, "_CALL_SECONDS", 0.5)
        self.settings.AJO_TWILIO_URL = self.url
        return registry.get("twilio_sms")(
            {"account_sid": "AC" + 32 * "a", "auth_token_env": "TWILIO_AUTH_TOKEN", "connections": 8}
        )

    def outgoing(self, number: int, mood: Mood) -> Outgoing:
        self.moods_by_mark[str(number)] = mood
        return Outgoing(number, f"+1500555{number:04}", "+15005550006", "Grüße".encode(), f"key-{number}")

    def number_of(self, request: Request) -> int:
        return int(parse_qs(request.body.decode())["To"][0].removeprefix("+1500555"))

    def reply(self, mood: Mood, number: int) -> Reply:
        match mood:
            case Mood.REFUSE:
                problem = {"code": 21211, "message": "Invalid 'To' Phone Number", "status": 400}
                return Reply(400, json.dumps(problem).encode())
            case Mood.THROTTLE:
                problem = {"code": 20429, "message": "Too Many Requests", "status": 429}
                return Reply(429, json.dumps(problem).encode(), {"Retry-After": "7"})
            case _:
                made = {"sid": f"SM{number:032}", "status": "queued", "error_code": None}
                return Reply(201, json.dumps(made).encode())


class WebhookHarness(HttpHarness):
    kind = "webhook"
    # What the other system says beside its status is its own business, and an error of its own is a no.
    moods = frozenset(Mood) - {Mood.RUBBISH}
    uncertain = frozenset({Mood.HANG, Mood.DROP, Mood.HALF})

    def provider(self) -> Provider:
        self.patch.setenv("WEBHOOK_SECRET_CRM", f"Bearer {SECRET}")
        self.patch.setenv("WEBHOOK_SECRET_SIGNING", "whsec_" + base64.b64encode(SECRET.encode()).decode())
        self.settings.AJO_ALLOWED_PRIVATE_HOSTS = [self.url.partition("://")[2]]
        return registry.get("webhook")(
            {
                "url": f"{self.url}/hooks/{SECRET}",
                "secret_headers": {"Authorization": "WEBHOOK_SECRET_CRM"},
                "signing_secret_env": "WEBHOOK_SECRET_SIGNING",
                "timeout": 1.0,
            }
        )

    def outgoing(self, number: int, mood: Mood) -> Outgoing:
        self.moods_by_mark[str(number)] = mood
        return Outgoing(number, "", "", json.dumps({"number": number}).encode(), f"key-{number}")

    def number_of(self, request: Request) -> int:
        return int(json.loads(request.body)["number"])

    def reply(self, mood: Mood, number: int) -> Reply:
        match mood:
            case Mood.REFUSE:
                return Reply(422, b"no")
            case Mood.THROTTLE:
                return Reply(429, b"later", {"Retry-After": "7"})
            case _:
                return Reply(200, b'{"ok": true}')


class DirectMailHarness(Harness):
    """The service is a folder: it takes a batch or it does not, and nothing is ever uncertain."""

    kind = "direct_mail"
    moods = frozenset({Mood.ACCEPT, Mood.REFUSE})

    def start(self) -> None:
        self.settings.AJO_DIRECT_MAIL_FOLDER = self.tmp_path / "files"

    def stop(self) -> None:
        pass

    def provider(self) -> Provider:
        provider = registry.get("direct_mail")({})
        provider.key = "printer"
        return provider

    def make_deaf(self) -> None:
        (self.tmp_path / "no folder").write_text("a file where the folder should be")
        self.settings.AJO_DIRECT_MAIL_FOLDER = self.tmp_path / "no folder"

    def outgoing(self, number: int, mood: Mood) -> Outgoing:
        body = b"{" if mood is Mood.REFUSE else json.dumps([["Number", str(number)]]).encode()
        return Outgoing(number, "1 Quay Street", "", body, f"key-{number}")

    def taken(self) -> list[int]:
        parts = sorted((self.tmp_path / "files" / "printer" / ".parts").rglob("*.jsonl"))
        lines = [json.loads(line) for part in parts for line in part.read_text().splitlines()]
        return [int(columns[0][1]) for _key, columns in lines]


class FcmHarness(HttpHarness):
    kind = "fcm"
    _push: ClassVar = {"title": "Hi", "body": "Grüße", "image_url": "", "link_url": "", "data": {}}

    def provider(self) -> Provider:
        account = {
            "type": "service_account",
            "project_id": "project",
            "private_key": account_key(),
            "client_email": "sender@project.example",
            "token_uri": f"{self.url}/token",
        }
        self.patch.setenv("FCM_ACCOUNT", json.dumps(account))
        self.patch.setattr(fcm, "_CALL_SECONDS", 0.5)
        self.settings.AJO_FCM_URL = self.url
        return registry.get("fcm")({"account_env": "FCM_ACCOUNT", "connections": 8})

    def outgoing(self, number: int, mood: Mood) -> Outgoing:
        self.moods_by_mark[str(number)] = mood
        return Outgoing(
            number, f"token-{number}", "", json.dumps(self._push).encode(), f"key-{number}", number
        )

    def number_of(self, request: Request) -> int:
        return int(json.loads(request.body)["message"]["token"].removeprefix("token-"))

    def reply(self, mood: Mood, number: int) -> Reply:
        match mood:
            case Mood.REFUSE:
                return Reply(400, json.dumps({"error": {"status": "INVALID_ARGUMENT"}}).encode())
            case Mood.THROTTLE:
                problem = {"error": {"status": "RESOURCE_EXHAUSTED"}}
                return Reply(429, json.dumps(problem).encode(), {"Retry-After": "7"})
            case _:
                return Reply(200, json.dumps({"name": f"projects/project/messages/{number}"}).encode())

    def _answer(self, request: Request) -> tuple[Mood, Reply]:
        if request.path == "/token":  # no message, so nothing that is taken
            access = {"access_token": SECRET, "expires_in": 3599, "token_type": "Bearer"}
            return Mood.REFUSE, Reply(200, json.dumps(access).encode())
        return super()._answer(request)


@cache
def account_key() -> str:
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


class WebPushHarness(HttpHarness):
    kind = "web_push"
    # What a push service says beside its status is nothing.
    moods = frozenset(Mood) - {Mood.RUBBISH}

    def provider(self) -> Provider:
        self.patch.setattr(web_push, "_CALL_SECONDS", 0.5)
        self.settings.AJO_MAILBOX_URL = self.url
        return registry.get("web_push")({"contact": "push@brand.example", "connections": 8})

    def outgoing(self, number: int, mood: Mood) -> Outgoing:
        self.moods_by_mark[str(number)] = mood
        point = ec.generate_private_key(ec.SECP256R1()).public_key()
        keys = {
            "p256dh": base64.urlsafe_b64encode(
                point.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
            ).decode(),
            "auth": base64.urlsafe_b64encode(16 * b"a").decode(),
        }
        address = json.dumps({"endpoint": f"{self.url}/push/{number}", "keys": keys})
        return Outgoing(number, address, "", b'{"title": "Hi"}', f"key-{number}", number)

    def number_of(self, request: Request) -> int:
        return int(request.path.removeprefix("/push/"))

    def reply(self, mood: Mood, number: int) -> Reply:
        match mood:
            case Mood.REFUSE:
                return Reply(413, b"too large")
            case Mood.THROTTLE:
                return Reply(429, b"later", {"Retry-After": "7"})
            case _:
                return Reply(201, b"created", {"Location": f"{self.url}/m/{number}"})


class AnymailHarness(HttpHarness):
    variable: ClassVar[str]

    def provider(self) -> Provider:
        self.patch.setenv(self.variable, SECRET)
        self.patch.setattr(anymail, "CALL_SECONDS", 0.5)
        self.settings.AJO_MAILGUN_URL = self.settings.AJO_RESEND_URL = self.url
        return registry.get(self.kind)({"api_key_env": self.variable})

    def outgoing(self, number: int, mood: Mood) -> Outgoing:
        self.moods_by_mark[str(number)] = mood
        body = (
            f"From: Brand <hello@brand.example>\r\nTo: p{number}@example.com\r\nSubject: Hi\r\n"
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/html; charset=utf-8\r\n\r\n<p>Hi</p>\r\n"
        )
        return Outgoing(
            number, f"p{number}@example.com", "hello@brand.example", body.encode(), f"key-{number}@b.example"
        )

    def number_of(self, request: Request) -> int:
        found = re.search(rb"p(\d+)(?:@|%40)example\.com", request.body)
        assert found is not None
        return int(found[1])

    def reply(self, mood: Mood, number: int) -> Reply:
        match mood:
            case Mood.REFUSE:
                return Reply(422, b'{"message": "The address is not valid"}')
            case Mood.THROTTLE:
                return Reply(429, b'{"message": "Too many requests"}', {"Retry-After": "7"})
            case _:
                return Reply(
                    200, json.dumps({"id": f"<{number}@mg>", "message": "Queued. Thank you."}).encode()
                )


class MailgunHarness(AnymailHarness):
    kind = "mailgun"
    variable = "MAILGUN_API_KEY"


class ResendHarness(AnymailHarness):
    kind = "resend"
    variable = "RESEND_API_KEY"


HARNESSES: list[type[Harness]] = [
    SmtpHarness,
    TwilioHarness,
    WebhookHarness,
    DirectMailHarness,
    FcmHarness,
    WebPushHarness,
    MailgunHarness,
    ResendHarness,
]
