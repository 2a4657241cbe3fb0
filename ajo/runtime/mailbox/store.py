"""Append-only files that keep every accepted message, in the order of acceptance.

A record is a fixed head (magic, number, received_at in µs, length of the envelope, length of the content),
the envelope (sender and recipients, a line each) and the content as it arrived. `append` only collects;
`flush` hands the records to the operating system, after which they survive a kill of this process. There is
no fsync: a power cut may cost the last seconds, which is right for a development mailbox.

Numbers grow for ever and are never used twice, also after `clear` and after a restart: the name of each
segment is the number of its first record. When the caps are reached, the oldest segment is dropped whole.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from array import array
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_HEAD: Final = struct.Struct("<4sQQII")
_MAGIC: Final = b"AJM1"
_SEGMENTS_AT_THE_CAP: Final = 16

DEFAULT_MAX_BYTES: Final = 512 * 1024 * 1024
DEFAULT_MAX_MESSAGES: Final = 200_000


class StoreBusy(Exception):
    """Another mailbox process already writes to this folder."""


@dataclass(frozen=True, slots=True)
class Record:
    """One accepted message; `sender` is empty for a bounce, addresses are as the client wrote them."""

    number: int
    received_at_us: int
    sender: str
    recipients: tuple[str, ...]
    content: bytes


@dataclass(slots=True)
class _Segment:
    """One file; record `first + i` starts at `offsets[i]`."""

    path: Path
    fd: int
    first: int
    size: int = 0
    offsets: array[int] = field(default_factory=lambda: array("Q"))


class Store:
    """The message files of one folder; one writer at a time, held by a lock on the folder."""

    def __init__(
        self,
        directory: Path,
        max_bytes: int = DEFAULT_MAX_BYTES,
        max_messages: int = DEFAULT_MAX_MESSAGES,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = directory
        self._max_bytes = max_bytes
        self._max_messages = max_messages
        self._segment_bytes = max(1, max_bytes // _SEGMENTS_AT_THE_CAP)
        self._segment_messages = max(1, max_messages // _SEGMENTS_AT_THE_CAP)
        self._pending: list[bytes] = []
        self._pending_offsets: list[int] = []
        self._pending_bytes = 0
        self._lock_fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock_fd)
            raise StoreBusy(directory) from None
        self._segments: deque[_Segment] = deque(
            _open_segment(path) for path in sorted(directory.glob("*.mail"))
        )
        if not self._segments:
            self._segments.append(self._new_segment(1))
        last = self._segments[-1]
        self._next = last.first + len(last.offsets)

    @property
    def first(self) -> int:
        """The number of the oldest message kept; equal to `next` when there is none."""
        return self._segments[0].first

    @property
    def next(self) -> int:
        """The number that the next message will get."""
        return self._next

    def append(self, sender: bytes, recipients: list[bytes], content: bytes | bytearray) -> int:
        """Collect one message and return its number; it is kept only after the next `flush`."""
        envelope = b"\n".join((sender, *recipients))
        number = self._next
        self._next = number + 1
        head = _HEAD.pack(_MAGIC, number, time.time_ns() // 1000, len(envelope), len(content))
        self._pending_offsets.append(self._segments[-1].size + self._pending_bytes)
        self._pending_bytes += len(head) + len(envelope) + len(content)
        self._pending += (head, envelope, content)
        return number

    def flush(self) -> None:
        """Write what was appended since the last call; OSError means that none of it was kept."""
        if not self._pending:
            return
        segment = self._segments[-1]
        block = memoryview(b"".join(self._pending))
        offsets = self._pending_offsets
        self._pending, self._pending_offsets, self._pending_bytes = [], [], 0
        try:
            written = 0
            while written < len(block):
                written += os.pwrite(segment.fd, block[written:], segment.size + written)
        except OSError:
            self._next -= len(offsets)
            os.ftruncate(segment.fd, segment.size)
            raise
        segment.size += len(block)
        segment.offsets.extend(offsets)
        if segment.size >= self._segment_bytes or len(segment.offsets) >= self._segment_messages:
            self._segments.append(self._new_segment(self._next))
            self._drop_oldest()

    def read(self, number: int) -> Record | None:
        """The message with this number, or None when it is not (or no longer) here."""
        for segment in reversed(self._segments):
            if segment.first <= number:
                break
        else:
            return None
        index = number - segment.first
        if index >= len(segment.offsets):
            return None
        start = segment.offsets[index]
        end = segment.offsets[index + 1] if index + 1 < len(segment.offsets) else segment.size
        block = os.pread(segment.fd, end - start, start)
        _, _, received_at_us, envelope_length, _ = _HEAD.unpack_from(block)
        split = _HEAD.size + envelope_length
        sender, *recipients = block[_HEAD.size : split].decode("utf-8", "replace").split("\n")
        return Record(number, received_at_us, sender, tuple(recipients), block[split:])

    def clear(self) -> None:
        """Forget every message; numbering goes on."""
        segments = tuple(self._segments)
        self._segments.clear()
        self._segments.append(self._new_segment(self._next))
        for segment in segments:
            os.close(segment.fd)
            # An empty segment already has the name of the next number: it is the new one.
            if segment.first != self._next:
                segment.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Write what is pending and let go of the folder."""
        self.flush()
        for segment in self._segments:
            os.close(segment.fd)
        os.close(self._lock_fd)

    def _new_segment(self, first: int) -> _Segment:
        return _open_segment(self._directory / f"{first:012}.mail")

    def _drop_oldest(self) -> None:
        """Keep the caps, with room for one full segment that is about to be written."""
        while len(self._segments) > 1 and (
            sum(segment.size for segment in self._segments) + self._segment_bytes > self._max_bytes
            or self._next - self.first + self._segment_messages > self._max_messages
        ):
            segment = self._segments.popleft()
            os.close(segment.fd)
            segment.path.unlink(missing_ok=True)


def _open_segment(path: Path) -> _Segment:
    """Open or create a segment, rebuild its offsets and cut off a record that a kill left half written."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    segment = _Segment(path, fd, int(path.stem))
    end = os.fstat(fd).st_size
    while True:
        head = os.pread(fd, _HEAD.size, segment.size)
        if len(head) < _HEAD.size:
            break
        magic, number, _, envelope_length, content_length = _HEAD.unpack(head)
        stop = segment.size + _HEAD.size + envelope_length + content_length
        if magic != _MAGIC or number != segment.first + len(segment.offsets) or stop > end:
            break
        segment.offsets.append(segment.size)
        segment.size = stop
    if segment.size != end:
        os.ftruncate(fd, segment.size)
    return segment
