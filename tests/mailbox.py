"""A mailbox process for tests: real SMTP and real HTTP on free ports, its files in a folder of the test."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

HOST: Final = "127.0.0.1"
TOKEN: Final = "a-token-for-tests"


class Mailbox:
    """`with Mailbox(tmp_path) as mailbox:` starts it; `kill` and `start` again test what survives."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.smtp_port = 0
        self.url = ""
        self._options = options
        self._popen: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the process and wait until it says its ports."""
        self.folder.mkdir(parents=True, exist_ok=True)
        token_file = self.folder / "token"
        token_file.write_text(TOKEN)
        command = [sys.executable, "-m", "ajo.runtime.mailbox", "--dir", str(self.folder / "mail")]
        self._popen = subprocess.Popen(
            [*command, "--token-file", str(token_file), *self._options], stdout=subprocess.PIPE, text=True
        )
        assert self._popen.stdout is not None
        ports = json.loads(self._popen.stdout.readline())
        self.smtp_port = ports["smtp"]
        self.url = f"http://{HOST}:{ports['http']}"

    def stop(self) -> int:
        """End it with SIGTERM; its exit code."""
        assert self._popen is not None
        self._popen.terminate()
        return self._reap()

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        assert self._popen is not None
        self._popen.kill()
        self._reap()

    def get(self, path: str, token: str = TOKEN, method: str = "GET", body: bytes | None = None) -> bytes:
        """The body of an answer; `urllib.error.HTTPError` for a refusal."""
        request = urllib.request.Request(self.url + path, body, {"X-Mailbox-Token": token}, method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            return bytes(response.read())

    def json(self, path: str, method: str = "GET") -> Any:
        """A JSON answer, decoded."""
        return json.loads(self.get(path, method=method))

    def log(self, after: int = 0) -> list[dict[str, Any]]:
        """Every accepted message, oldest first: n, received_at, rcpt, message_id, size."""
        return [json.loads(line) for line in self.get(f"/log.jsonl?after={after}").splitlines()]

    def refusal(self, path: str, token: str = TOKEN, method: str = "GET") -> tuple[int, str]:
        """Status and sentence of a request that must be refused."""
        try:
            self.get(path, token, method)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())["detail"]
        raise AssertionError(f"{method} {path} was not refused.")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._popen is not None and self._popen.poll() is None:
            self.stop()

    def _reap(self) -> int:
        assert self._popen is not None
        assert self._popen.stdout is not None
        code = self._popen.wait(timeout=10)
        self._popen.stdout.close()
        return code
