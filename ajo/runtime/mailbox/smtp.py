"""The SMTP listener: RFC 5321 with PIPELINING, 8BITMIME, SMTPUTF8, SIZE, CHUNKING and ENHANCEDSTATUSCODES.

One `Session` per connection reads its buffer to the end in one go, stores what was completed and then answers
everything with one write: a client that pipelines costs two system calls for dozens of messages. `250` for a
message is written only after the store has handed it to the operating system.

Bad behaviour on request. Tags in the local part of a recipient, each after a `+`, script what happens, so
that a test needs no second server (`ada+drop-after-data@example.com`):

| tag                | what happens                                                                        |
|--------------------|-------------------------------------------------------------------------------------|
| `reject550`        | RCPT is answered 550 5.1.1: this recipient does not exist                           |
| `tempfail451`      | RCPT is answered 451 4.3.0                                                          |
| `tempfail451-N`    | the same for the first N attempts at this very address, then it is accepted         |
| `content554`       | the content is read and refused with 554 5.7.1, nothing is stored                   |
| `content451`       | the content is read and refused with 451 4.3.0, nothing is stored                   |
| `drop-before-data` | the connection is closed at DATA or BDAT, nothing is stored                         |
| `drop-after-data`  | the message is stored and the connection closed without an answer: the lost answer  |
| `hang`             | the content is read, nothing is stored and nothing is ever answered any more        |
| `hang-after-data`  | the message is stored and nothing is ever answered any more                         |
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter
from collections.abc import Callable
from typing import Final

from ajo.runtime.mailbox.store import Store

MAX_COMMAND_LINE: Final = 2048
MAX_CONTENT: Final = 25 * 1024 * 1024
MAX_RECIPIENTS: Final = 100

_GREETING: Final = b"220 mailbox ESMTP ready\r\n"
_CAPABILITIES: Final = (
    b"250-mailbox\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-SIZE %d\r\n"
    b"250-CHUNKING\r\n250 ENHANCEDSTATUSCODES\r\n" % MAX_CONTENT
)
_OK: Final = b"250 2.0.0 OK\r\n"
_SENDER_OK: Final = b"250 2.1.0 Sender OK\r\n"
_RECIPIENT_OK: Final = b"250 2.1.5 Recipient OK\r\n"
_GO_AHEAD: Final = b"354 Send the message, end it with a dot on its own line\r\n"
_BYE: Final = b"221 2.0.0 Bye\r\n"
_CANNOT_STORE: Final = b"421 4.3.0 The mailbox cannot write to its folder; is the disk full?\r\n"
_LINE_TOO_LONG: Final = b"500 5.5.6 Line too long\r\n"
_UNKNOWN: Final = b"500 5.5.2 Unknown command\r\n"
_NOT_IMPLEMENTED: Final = b"502 5.5.1 Command not implemented\r\n"
_NO_ARGUMENT: Final = b"501 5.5.4 This command takes no argument\r\n"
_NAME_MISSING: Final = b"501 5.5.4 The name of your host is missing\r\n"
_BAD_SENDER: Final = b"501 5.1.7 Write MAIL FROM:<address>\r\n"
_BAD_RECIPIENT: Final = b"501 5.1.3 Write RCPT TO:<address>\r\n"
_BAD_CHUNK: Final = b"501 5.5.4 Write BDAT <size> or BDAT <size> LAST\r\n"
_BAD_PARAMETER: Final = b"555 5.5.4 Parameter not recognised\r\n"
_BAD_VALUE: Final = b"501 5.5.4 Value of a parameter not understood\r\n"
_UTF8_NOT_ASKED: Final = b"553 5.6.7 An address that is not ASCII needs MAIL FROM with SMTPUTF8\r\n"
_HELLO_FIRST: Final = b"503 5.5.1 Say EHLO or HELO first\r\n"
_NESTED_MAIL: Final = b"503 5.5.1 A message is already under way; RSET gives it up\r\n"
_MAIL_FIRST: Final = b"503 5.5.1 Say MAIL first\r\n"
_RECIPIENT_FIRST: Final = b"503 5.5.1 No valid recipient yet\r\n"
_DATA_AFTER_BDAT: Final = b"503 5.5.1 This message has begun with BDAT; go on with BDAT or RSET\r\n"
_TOO_MANY_RECIPIENTS: Final = b"452 4.5.3 Too many recipients\r\n"
_TOO_BIG: Final = b"552 5.3.4 The message is larger than %d octets\r\n" % MAX_CONTENT

_RECIPIENT_TAGS: Final = {
    b"reject550": b"550 5.1.1 No such recipient (asked for by its tag)\r\n",
    b"tempfail451": b"451 4.3.0 Try again later (asked for by its tag)\r\n",
}
_CONTENT_TAGS: Final = {
    b"content554": b"554 5.7.1 Content refused (asked for by its tag)\r\n",
    b"content451": b"451 4.3.0 Try again later (asked for by its tag)\r\n",
}

_PATH: Final = rb"<(?:@[^<>\s:]*:)?((?:\"(?:[^\"\\\r\n]|\\.)*\"|[^<>\"\s])*)>(?: +(\S.*?))? *"
_MAIL: Final = re.compile(rb"FROM: *" + _PATH, re.IGNORECASE)
_RCPT: Final = re.compile(rb"TO: *" + _PATH, re.IGNORECASE)
_BDAT: Final = re.compile(rb"(\d{1,12})(?: +(LAST))? *", re.IGNORECASE)


class Session(asyncio.Protocol):
    """One SMTP connection. `attempts` is shared by all sessions: it counts the tries of `tempfail451-N`."""

    def __init__(self, store: Store, attempts: Counter[bytes]) -> None:
        self._store = store
        self._attempts = attempts
        self._transport: asyncio.Transport
        self._buffer = bytearray()
        self._position = 0
        self._searched = 0
        self._read: Callable[[], bool] = self._read_command
        self._replies: list[bytes] = []
        self._greeted = False
        self._deaf = False
        self._chunk_left = 0
        self._chunk_is_last = False
        self._chunk_reply: bytes | None = None
        self._begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(_GREETING)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._buffer += data
        while self._read():
            pass
        # What was read is cut off once per packet: doing it per command would move the rest each time.
        del self._buffer[: self._position]
        self._searched = max(0, self._searched - self._position)
        self._position = 0
        self._answer()

    def pause_writing(self) -> None:
        """A client that sends without reading its answers must not fill our memory."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    def _answer(self) -> None:
        replies, self._replies = self._replies, []
        try:
            self._store.flush()
        except OSError as error:
            print(f"The mailbox could not store a message: {error}.", file=sys.stderr, flush=True)
            self._transport.write(_CANNOT_STORE)
            self._hang_up()
            return
        if replies:
            self._transport.write(b"".join(replies))

    def _begin(self) -> None:
        """Forget the transaction under way, not the greeting."""
        self._sender: bytes | None = None
        self._utf8 = False
        self._recipients: list[bytes] = []
        self._tags: set[bytes] = set()
        self._chunks: bytearray | None = None
        self._oversize = False

    def _hang_up(self) -> None:
        """Send the answers given so far and close; whatever else the client has sent is not read."""
        self._answer()
        self._transport.close()
        self._go_deaf()

    def _go_deaf(self) -> None:
        self._deaf = True
        self._read = _read_nothing
        self._position = len(self._buffer)

    # Reading: each reader takes one piece off the buffer and returns False when it needs more bytes.

    def _read_command(self) -> bool:
        end = self._buffer.find(b"\r\n", self._position)
        if end < 0:
            if len(self._buffer) - self._position <= MAX_COMMAND_LINE:
                return False
            self._read = self._skip_line
            return True
        line = bytes(self._buffer[self._position : end])
        self._position = end + 2
        if len(line) > MAX_COMMAND_LINE - 2:
            self._replies.append(_LINE_TOO_LONG)
            return True
        verb, _, argument = line.partition(b" ")
        handler = _COMMANDS.get(verb.upper())
        reply = _UNKNOWN if handler is None else handler(self, argument)
        if reply is not None:
            self._replies.append(reply)
        return True

    def _skip_line(self) -> bool:
        """Throw an endless line away as it comes; its first CRLF ends it."""
        end = self._buffer.find(b"\r\n", self._position)
        if end < 0:
            # The last octet may be the CR of the CRLF that ends the line.
            self._position = len(self._buffer) - 1
            return False
        self._position = end + 2
        self._read = self._read_command
        self._replies.append(_LINE_TOO_LONG)
        return True

    def _read_content(self) -> bool:
        # The position is at the CRLF that ended the DATA line, so that a dot on the first line counts.
        buffer, start = self._buffer, self._position
        end = buffer.find(b"\r\n.\r\n", max(start, self._searched))
        if end < 0:
            if len(buffer) - start > MAX_CONTENT + 6:
                self._oversize = True
                self._position = len(buffer) - 4
            self._searched = max(self._position, len(buffer) - 4)
            return False
        if buffer.find(b"\r\n.", start, end) < 0:
            content = buffer[start + 2 : end + 2]
        else:
            content = buffer[start : end + 2].replace(b"\r\n.", b"\r\n")[2:]
        self._position = end + 5
        self._searched = 0
        self._read = self._read_command
        self._finish(content)
        return True

    def _read_chunk(self) -> bool:
        available = min(len(self._buffer) - self._position, self._chunk_left)
        stop = self._position + available
        if self._chunks is not None and not self._oversize:
            if len(self._chunks) + self._chunk_left > MAX_CONTENT:
                self._oversize = True
                self._chunks.clear()
            else:
                self._chunks += self._buffer[self._position : stop]
        self._position = stop
        self._chunk_left -= available
        if self._chunk_left:
            return False
        self._read = self._read_command
        if self._chunk_reply is not None:
            self._replies.append(self._chunk_reply)
        elif self._chunk_is_last:
            assert self._chunks is not None
            self._finish(self._chunks)
        else:
            self._replies.append(_TOO_BIG if self._oversize else _OK)
        return True

    def _finish(self, content: bytearray) -> None:
        """A whole message has been read: store it and answer, or do what the recipients' tags ask for."""
        sender, recipients, tags = self._sender, self._recipients, self._tags
        is_oversize = self._oversize or len(content) > MAX_CONTENT
        self._begin()
        if is_oversize:
            self._replies.append(_TOO_BIG)
            return
        if tags:
            for tag, refusal in _CONTENT_TAGS.items():
                if tag in tags:
                    self._replies.append(refusal)
                    return
            if b"hang" in tags:
                self._go_deaf()
                return
        assert sender is not None
        number = self._store.append(sender, recipients, content)
        if tags and b"hang-after-data" in tags:
            self._go_deaf()
        elif tags and b"drop-after-data" in tags:
            self._hang_up()
        else:
            self._replies.append(b"250 2.0.0 Stored as %d\r\n" % number)

    # Commands: each returns its reply, or None when the reply comes later or never.

    def _helo(self, argument: bytes) -> bytes | None:
        if not argument.strip():
            return _NAME_MISSING
        self._greeted = True
        self._begin()
        return b"250 mailbox\r\n"

    def _ehlo(self, argument: bytes) -> bytes | None:
        if not argument.strip():
            return _NAME_MISSING
        self._greeted = True
        self._begin()
        return _CAPABILITIES

    def _mail(self, argument: bytes) -> bytes | None:
        if not self._greeted:
            return _HELLO_FIRST
        if self._sender is not None:
            return _NESTED_MAIL
        match = _MAIL.fullmatch(argument)
        if match is None:
            return _BAD_SENDER
        address, parameters = match.groups()
        is_utf8 = False
        for parameter in (parameters or b"").split():
            name, _, value = parameter.upper().partition(b"=")
            if name == b"SIZE":
                if not value.isdigit() or len(value) > 20:
                    return _BAD_VALUE
                if int(value) > MAX_CONTENT:
                    return _TOO_BIG
            elif name == b"BODY":
                if value not in (b"7BIT", b"8BITMIME"):
                    return _BAD_VALUE
            elif parameter.upper() == b"SMTPUTF8":
                is_utf8 = True
            else:
                return _BAD_PARAMETER
        if address and not _is_address(address):
            return _BAD_SENDER
        if not (is_utf8 or address.isascii()):
            return _UTF8_NOT_ASKED
        self._sender = address
        self._utf8 = is_utf8
        return _SENDER_OK

    def _rcpt(self, argument: bytes) -> bytes | None:
        if self._sender is None:
            return _MAIL_FIRST
        if self._chunks is not None:
            return _DATA_AFTER_BDAT
        match = _RCPT.fullmatch(argument)
        if match is None:
            return _BAD_RECIPIENT
        address, parameters = match.groups()
        if not (_is_address(address) or address.lower() == b"postmaster"):
            return _BAD_RECIPIENT
        if parameters:
            return _BAD_PARAMETER
        if not (self._utf8 or address.isascii()):
            return _UTF8_NOT_ASKED
        if len(self._recipients) >= MAX_RECIPIENTS:
            return _TOO_MANY_RECIPIENTS
        if b"+" in address:
            refusal = self._read_tags(address)
            if refusal is not None:
                return refusal
        self._recipients.append(address)
        return _RECIPIENT_OK

    def _read_tags(self, address: bytes) -> bytes | None:
        """Note what the tags script for this message; the reply when they refuse the recipient itself."""
        tags = set(address.rpartition(b"@")[0].split(b"+")[1:])
        for tag in tags:
            if tag in _RECIPIENT_TAGS:
                return _RECIPIENT_TAGS[tag]
            name, _, limit = tag.rpartition(b"-")
            if name == b"tempfail451" and limit.isdigit():
                self._attempts[address] += 1
                if self._attempts[address] <= int(limit):
                    return _RECIPIENT_TAGS[name]
        self._tags |= tags
        return None

    def _data(self, argument: bytes) -> bytes | None:
        if argument.strip():
            return _NO_ARGUMENT
        if self._sender is None:
            return _MAIL_FIRST
        if not self._recipients:
            return _RECIPIENT_FIRST
        if self._chunks is not None:
            return _DATA_AFTER_BDAT
        if b"drop-before-data" in self._tags:
            self._hang_up()
            return None
        self._read = self._read_content
        self._position -= 2
        self._searched = self._position
        return _GO_AHEAD

    def _bdat(self, argument: bytes) -> bytes | None:
        match = _BDAT.fullmatch(argument)
        if match is None:
            return _BAD_CHUNK
        if b"drop-before-data" in self._tags:
            self._hang_up()
            return None
        # A refused chunk follows its command all the same, and must not be read as commands.
        self._chunk_reply = None
        if self._sender is None:
            self._chunk_reply = _MAIL_FIRST
        elif not self._recipients:
            self._chunk_reply = _RECIPIENT_FIRST
        elif self._chunks is None:
            self._chunks = bytearray()
        self._chunk_left = int(match[1])
        self._chunk_is_last = match[2] is not None
        self._read = self._read_chunk
        return None

    def _rset(self, argument: bytes) -> bytes | None:
        if argument.strip():
            return _NO_ARGUMENT
        self._begin()
        return _OK

    def _noop(self, argument: bytes) -> bytes | None:
        return _OK

    def _vrfy(self, argument: bytes) -> bytes | None:
        if not argument.strip():
            return b"501 5.5.4 Write VRFY address\r\n"
        return b"252 2.5.2 Not verified, but every address is accepted\r\n"

    def _help(self, argument: bytes) -> bytes | None:
        return b"214 2.0.0 This mailbox accepts every message and delivers none of them any further\r\n"

    def _quit(self, argument: bytes) -> bytes | None:
        if argument.strip():
            return _NO_ARGUMENT
        self._replies.append(_BYE)
        self._hang_up()
        return None

    def _refuse(self, argument: bytes) -> bytes | None:
        return _NOT_IMPLEMENTED


_COMMANDS: Final[dict[bytes, Callable[[Session, bytes], bytes | None]]] = {
    b"HELO": Session._helo,
    b"EHLO": Session._ehlo,
    b"MAIL": Session._mail,
    b"RCPT": Session._rcpt,
    b"DATA": Session._data,
    b"BDAT": Session._bdat,
    b"RSET": Session._rset,
    b"NOOP": Session._noop,
    b"VRFY": Session._vrfy,
    b"HELP": Session._help,
    b"QUIT": Session._quit,
    b"EXPN": Session._refuse,
    b"AUTH": Session._refuse,
    b"STARTTLS": Session._refuse,
}


def _is_address(address: bytes) -> bool:
    local, at, domain = address.rpartition(b"@")
    return bool(local and at and domain)


def _read_nothing() -> bool:
    return False
