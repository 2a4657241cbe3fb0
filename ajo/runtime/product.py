"""The whole product on one machine: which children it has, what they are told, in which order they start."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import ClassVar, Self

import psycopg

from ajo.runtime import paths, process, web
from ajo.runtime.child import Child, Server
from ajo.runtime.postgres import Postgres
from ajo.runtime.process import StartError
from ajo.runtime.state import Record, Secrets, owned, read_json, sweep, write_json, write_private
from ajo.runtime.supervisor import StopRequested, Supervisor
from ajo.runtime.valkey import Valkey

ENGINE_QUEUES = "stream,tick,fanout,decide,report,bulk,celery"
SENDER_QUEUES = "send_email,send_sms,send_push,send_webhook"
_WILDCARDS = {"0.0.0.0", "::"}


class PortTaken(StartError):
    """The web port belongs to another program."""


@dataclass(frozen=True)
class Options:
    """What a person can choose, all of it through the environment."""

    home: Path
    host: str
    port: int
    web_workers: int
    web_threads: int
    database_url: str  # empty: the embedded PostgreSQL
    broker_url: str  # empty: the embedded Valkey
    mailbox_smtp: str  # empty: the embedded mailbox
    has_demo: bool

    @classmethod
    def from_environment(cls) -> Self:
        """Read `AJO_*`, `DATABASE_URL` and `BROKER_URL`; `StartError` names a value that makes no sense."""
        return cls(
            home=paths.home(),
            host=os.environ.get("AJO_HOST") or "127.0.0.1",
            port=_number("AJO_PORT", 8000, 1, 65535),
            web_workers=_number("AJO_WEB_WORKERS", 1, 1, 64),
            # A waiting thread costs little; too few would leave the common flush of single events half empty.
            web_threads=_number("AJO_WEB_THREADS", 64, 1, 512),
            database_url=os.environ.get("DATABASE_URL", ""),
            broker_url=os.environ.get("BROKER_URL", ""),
            mailbox_smtp=os.environ.get("AJO_MAILBOX_SMTP", ""),
            has_demo=os.environ.get("AJO_DEMO") != "0",
        )

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the product."""
        host = "127.0.0.1" if self.host in _WILDCARDS else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether it answers this machine alone."""
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")


class Program(Child):
    """A Python program of the product, run from the checkout."""

    def __init__(
        self, name: str, command: Sequence[str | Path], env: Mapping[str, str], log_dir: Path
    ) -> None:
        super().__init__(log_dir / f"{name}.log")
        self.name = name
        self.command = command
        self.env = env

    def launch(self) -> Popen[bytes]:
        return process.spawn(
            [sys.executable, "-m", *self.command], log_path=self.log_path, env=self.env, cwd=paths.REPOSITORY
        )


class Web(Program):
    """The web server; ready when it answers at all, for the health page knows more parts than this one."""

    def __init__(self, options: Options, env: Mapping[str, str], log_dir: Path) -> None:
        command = [
            *("granian", "ajo.wsgi:application", "--interface", "wsgi", "--http", "1", "--no-ws"),
            *("--host", options.host, "--port", str(options.port), "--backlog", "2048"),
            *("--workers", str(options.web_workers), "--blocking-threads", str(options.web_threads)),
            # Every thread that ends takes its database connection with it.
            *("--blocking-threads-idle-timeout", "600"),
            *("--respawn-failed-workers", "--respawn-interval", "0.2", "--workers-kill-timeout", "10"),
            *("--log-level", "warning", "--no-access-log"),
        ]
        super().__init__("web", command, env, log_dir)
        self._url = options.url

    @property
    def detail(self) -> str:
        return self._url

    def answers(self) -> bool:
        return web.status(f"{self._url}/healthz") is not None


class CeleryProgram(Program):
    """A Celery worker or beat; ready when it says so through a file, for an old log would say so too early."""

    stop_timeout = 60  # a worker finishes the tasks in hand

    def __init__(self, name: str, arguments: Sequence[str], env: Mapping[str, str], home: Path) -> None:
        self._ready_file = home / "run" / f"{name}.ready"
        env = {**env, "AJO_READY_FILE": str(self._ready_file)}
        super().__init__(name, ["celery", "-A", "ajo", *arguments], env, home / "log")

    @classmethod
    def worker(cls, name: str, queues: str, env: Mapping[str, str], home: Path, *, children: int = 2) -> Self:
        """A worker with child processes for the given queues."""
        # What workers tell each other is of no use to us and wakes the broker all the time.
        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
        return cls(name, ["worker", "-n", f"{name}@%h", "-Q", queues, "-c", str(children), *quiet], env, home)

    @classmethod
    def beat(cls, env: Mapping[str, str], home: Path) -> Self:
        """The clock; without a pid file, because a stale one would block the next start."""
        return cls("beat", ["beat", "--pidfile="], env, home)

    def launch(self) -> Popen[bytes]:
        self._ready_file.parent.mkdir(parents=True, exist_ok=True)
        self._ready_file.unlink(missing_ok=True)
        return super().launch()

    def answers(self) -> bool:
        return self._ready_file.exists()


class Mailbox(Server):
    """The mailbox process: receives what the product sends and shows it."""

    name = "mailbox"
    base_port: ClassVar[int] = 58025
    smtp_base_port: ClassVar[int] = 52525

    def __init__(self, data_dir: Path, log_path: Path, token: str) -> None:
        super().__init__(data_dir, log_path)
        self.smtp_port = 0
        self._token = token

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def smtp(self) -> str:
        """Host and port of the SMTP listener."""
        return f"127.0.0.1:{self.smtp_port}"

    @property
    def detail(self) -> str:
        return f"smtp {self.smtp}"

    def launch(self) -> Popen[bytes]:
        if self._may_move:
            self.smtp_port = process.free_port(self.smtp_base_port)
        token_file = self.data_dir.parent / "mailbox.token"
        write_private(token_file, self._token + "\n")
        command: list[str | Path] = [
            *(sys.executable, "-m", "ajo.runtime.mailbox"),
            *("--smtp-port", str(self.smtp_port), "--http-port", str(self.port)),
            *("--dir", self.data_dir, "--token-file", token_file),
        ]
        return process.spawn(command, log_path=self.log_path, cwd=paths.REPOSITORY)

    def answers(self) -> bool:
        # With the token, so that another product's mailbox on this port does not count.
        return web.status(f"{self.url}/people.json", {"X-Mailbox-Token": self._token}) == 200


def run_product(options: Options, say: Callable[[str], None]) -> None:
    """Bring the product up, keep it up until a signal asks for the end, and stop it.

    `Busy`, `PortTaken` or another `StartError` when it cannot come up; then nothing is left running.
    """
    with owned(options.home):
        swept = sweep(options.home)
        if swept:
            say(f"Ended what an interrupted run had left: {', '.join(swept)}.")
        _check_port(options)
        secrets = Secrets.of(options.home)
        record = Record(options.home)
        record.note(url=options.url)
        try:
            with Supervisor(say, record.note_group) as supervisor:
                try:
                    _bring_up(supervisor, options, secrets, record)
                    say(_box(options))
                    supervisor.watch()
                except StopRequested:
                    pass
                say("Stopping. Ctrl-C again stops at once, without waiting for work in hand.")
        finally:
            record.remove()


def _check_port(options: Options) -> None:
    try:
        process.try_listening(options.port, options.host)
    except OSError as error:
        where = f"Port {options.port} of {options.host}"
        if error.errno == errno.EADDRINUSE:
            other = process.free_port(options.port + 1)
            raise PortTaken(
                f"{where} is taken by another program. Choose another one: AJO_PORT={other} make run"
            ) from error
        raise StartError(
            f"{where} cannot be used: {error.strerror}."
            " Choose an address of this machine with AJO_HOST and a port above 1023 with AJO_PORT."
        ) from error


def _bring_up(supervisor: Supervisor, options: Options, secrets: Secrets, record: Record) -> None:
    log_dir = options.home / "log"
    ground: list[Server] = []
    postgres = valkey = mailbox = None
    if not options.database_url:
        postgres = Postgres(options.home / "pg", log_dir / "postgres.log", password=secrets.postgres_password)
        postgres.init()
        ground.append(postgres)
    if not options.broker_url:
        valkey = Valkey(options.home / "valkey", log_dir / "valkey.log", password=secrets.valkey_password)
        ground.append(valkey)
    if not options.mailbox_smtp:
        mailbox = Mailbox(options.home / "mailbox", log_dir / "mailbox.log", secrets.mailbox_token)
        ground.append(mailbox)
    supervisor.start(*ground)

    if postgres is not None:
        postgres.create_database("ajo")
    else:
        _check_database(options.database_url)
    addresses = {"DATABASE_URL": options.database_url, "BROKER_URL": options.broker_url}
    if postgres is not None:
        addresses["DATABASE_URL"] = postgres.url()
    if valkey is not None:
        addresses["BROKER_URL"] = valkey.url()
    if mailbox is not None:
        addresses["AJO_MAILBOX_SMTP"], addresses["AJO_MAILBOX_URL"] = mailbox.smtp, mailbox.url
        addresses["AJO_MAILBOX_TOKEN"] = secrets.mailbox_token
    env = {**_environment(options, secrets), **addresses}
    record.note(
        database_url=env["DATABASE_URL"],
        broker_url=env["BROKER_URL"],
        mailbox_smtp=env.get("AJO_MAILBOX_SMTP", ""),
        mailbox_url=env.get("AJO_MAILBOX_URL", ""),
        ports={"web": options.port, **{server.name: server.port for server in ground}},
    )
    manage = [sys.executable, str(paths.REPOSITORY / "manage.py")]

    migrate = [*manage, "migrate", "--no-input", "--skip-checks"]
    supervisor.run("migrate", migrate, log_dir / "migrate.log", env)
    _forget_heartbeats(env["DATABASE_URL"])
    supervisor.start(Web(options, env, log_dir))
    supervisor.launch(
        CeleryProgram.worker("engine", ENGINE_QUEUES, env, options.home),
        # Three, so that a slow service of one channel leaves two for the others.
        CeleryProgram.worker("sender", SENDER_QUEUES, env, options.home, children=3),
    )
    if options.has_demo:
        seed = [*manage, "seed_demo", "--if-empty", "--url", options.url]
        supervisor.run("demo", seed, log_dir / "demo.log", env)
        _correct_demo_url(options)
    # Last, because its first tick makes the workers report, and with that the health page says that all is ready.
    supervisor.start(CeleryProgram.beat(env, options.home))


def _forget_heartbeats(url: str) -> None:
    """Those of the last run would let the health page call workers alive that have not started yet."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM core_heartbeat")


def _environment(options: Options, secrets: Secrets) -> dict[str, str]:
    """What every child is told besides the addresses of the servers; what the user set stays as it is."""
    return {
        "DJANGO_SETTINGS_MODULE": "ajo.settings",
        "AJO_SECRET_KEY": secrets.secret_key,
        "AJO_PUBLIC_URL": options.url,
        "AJO_MAILBOX_OPEN": "1" if options.is_local else "0",
        **{name: value for name, value in os.environ.items() if value},
        "AJO_HOME": str(options.home),
        "PYTHONUNBUFFERED": "1",
    }


def _check_database(url: str) -> None:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.Error as error:
        raise StartError(
            f"The PostgreSQL server of DATABASE_URL does not let us in: {str(error).strip()}"
            " Correct DATABASE_URL, or unset it to use the embedded server."
        ) from error


def _correct_demo_url(options: Options) -> None:
    """The demo was written once; the port may have changed since."""
    path = options.home / "demo.json"
    demo = read_json(path)
    if demo and demo.get("url") != options.url:
        write_json(path, {**demo, "url": options.url})


def _box(options: Options) -> str:
    demo = read_json(options.home / "demo.json") if options.has_demo else {}
    rows = [("Open", options.url)]
    if "login" in demo:
        rows += [("Sign in", f"{demo['login']} / {demo.get('password', '')}")]
    if "operations_login" in demo:
        rows += [("Operations", f"{demo['operations_login']} / {demo.get('operations_password', '')}")]
    if "write_key" in demo:
        rows += [("Write key", str(demo["write_key"]))]
    if not options.mailbox_smtp:
        rows += [("Mailbox", f"{options.url}/mailbox/")]
    rows += [("Logs", str(options.home / "log")), ("Stop", "Ctrl-C")]
    lines = [f"{label:<10} {text}" for label, text in rows]
    width = max(map(len, lines))
    return "\n".join(
        ["┌" + "─" * (width + 2) + "┐", *(f"│ {x:<{width}} │" for x in lines), "└" + "─" * (width + 2) + "┘"]
    )


def _number(name: str, default: int, least: int, most: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or not least <= int(text) <= most:
        raise StartError(f"{name} is {text!r}. Set it to a whole number from {least} to {most}.")
    return int(text)
