"""One child process with everything its owner needs: start it, ask whether it is ready, stop it, kill it."""

from __future__ import annotations

import signal
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from ajo.runtime import process
from ajo.runtime.process import StartError


class Child(ABC):
    """A program that runs beside us. Start it from the main thread: it ends with the thread that starts it."""

    name: str
    stop_signal: signal.Signals = signal.SIGTERM
    start_timeout: float = 60
    stop_timeout: float = 15
    # What of its log a person should see on the console.
    alarms: str = r"\b(ERROR|CRITICAL)\b"

    def __init__(self, log_path: Path) -> None:
        self.log_path = log_path
        self.popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The main process while it lives."""
        return self.popen.pid if self.popen is not None and self.popen.poll() is None else None

    @property
    def detail(self) -> str:
        """Where it can be reached, for the console."""
        return ""

    @abstractmethod
    def launch(self) -> subprocess.Popen[bytes]:
        """Start the process; called for the first start and for every restart."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it does its work. Called every few hundredths of a second until it does."""

    def spawn(self) -> None:
        """Launch without waiting for readiness."""
        self.popen = self.launch()

    def is_ready(self) -> bool:
        """Whether the launched process does its work; `StartError` when it has ended."""
        if self.pid is None:
            tail = process.log_tail(self.log_path)
            raise StartError(f"{self.name} stopped while starting. The end of {self.log_path.name}:{tail}")
        return self.answers()

    def start(self) -> None:
        """Launch and return when it is ready; `StartError` when it ends or takes too long."""
        self.spawn()
        try:
            process.wait_until(self.is_ready, self.start_timeout, f"{self.name} answers")
        except TimeoutError as error:
            self.kill()
            tail = process.log_tail(self.log_path)
            raise StartError(
                f"{self.name} was not ready after {self.start_timeout:g} s."
                f" The end of {self.log_path.name}:{tail}"
            ) from error

    def ask_to_stop(self) -> None:
        """Begin a clean stop. Only the main process is told: it ends its own children in its own order."""
        if self.popen is not None and self.pid is not None:
            process.send(self.popen.pid, self.stop_signal)

    def stop(self) -> None:
        """Clean stop; what is left after `stop_timeout` seconds is killed."""
        if self.popen is None:
            return
        self.ask_to_stop()
        try:
            self.popen.wait(self.stop_timeout)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def kill(self) -> None:
        """SIGKILL to every process of its group: a dead main process does not mean a dead group."""
        if self.popen is not None:
            process.kill_group(self.popen.pid)
            self.popen.wait()
            self.popen = None  # once it is reaped its number may become another process


class Server(Child):
    """A server on a loopback port over `data_dir`, ours alone: by `.ajo/lock` or as a private folder.

    With `port=None` the first start takes the first free port from `base_port` upwards; later starts keep it.
    """

    base_port: ClassVar[int]

    def __init__(
        self, data_dir: Path, log_path: Path, port: int | None = None, password: str | None = None
    ) -> None:
        super().__init__(log_path)
        self.data_dir = data_dir.absolute()
        self.password = password
        self._port = port
        self._may_move = port is None

    @property
    def port(self) -> int:
        """The port it listens on, chosen at first use."""
        if self._port is None:
            self._port = process.free_port(self.base_port)
        return self._port

    @property
    def detail(self) -> str:
        return f"127.0.0.1:{self.port}"

    def is_ready(self) -> bool:
        """As for every child; moves on when its port was lost to another program between choice and start."""
        if self.pid is None and self._may_move and not process.port_is_free(self.port):
            self._port = process.free_port(self.port + 1)
            self.spawn()
            return False
        if not super().is_ready():
            return False
        self._may_move = False
        return True
