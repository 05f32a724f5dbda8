"""One probe's conversation with a server, and what came of it.

A conversation is a list of steps: bytes to send, or one of the marks below. Then all
that comes is read, until the server closes or says nothing for so long as the caller has
patience. What came is taken apart as strictly as a client may: an answer that is not well
formed is told apart from one that was not expected.
"""

import re
import socket
import time

AWAIT = "await"    # until an answer's head is there, interim or final
FINISH = "finish"  # send no more: a half-close

STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9]\d\d) [\t \x21-\x7e\x80-\xff]*")
FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*"
                   rb"((?:[\x21-\x7e\x80-\xff](?:[\t \x21-\x7e\x80-\xff]*"
                   rb"[\x21-\x7e\x80-\xff])?)?)[ \t]*")
CHUNK = re.compile(rb"([0-9A-Fa-f]+)(;[^\r\n]*)?\r\n")


class Slowly:
    """Bytes that are sent one by one."""

    def __init__(self, data):
        self.data = data


class Malformed(Exception):
    """An answer breaks the grammar or its framing is ambiguous."""


class Incomplete(Exception):
    """An answer ends before its time."""


class Answer:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    def values(self, name):
        return [value for key, value in self.fields if key == name]

    def has_option(self, option):
        """Of Connection."""
        options = b",".join(self.values(b"connection")).lower().split(b",")
        return option in [word.strip() for word in options]

    def echo(self):
        """What the application saw: a dict, or None when this is no echo of it."""
        head, mark, body = self.body.partition(b"\nbody=")
        if not mark or not head.startswith(b"method="):
            return None
        seen = dict(line.partition(b"=")[::2] for line in head.split(b"\n"))
        seen[b"body"] = body
        return seen

    def __str__(self):
        text = f"{self.status} {self.body[:120]!r}"
        return text + (" close" if self.has_option(b"close") else "")


class Outcome:
    """Of a conversation.

    interim   statuses 1xx, in order
    finals    the other answers
    awaited   statuses that had come when AWAIT was over
    closed    the server has closed (or reset) the connection
    broken    why what came cannot be taken apart, or None
    raw       all of it
    """

    def __init__(self, raw, methods, closed, awaited):
        self.raw, self.closed, self.awaited = raw, closed, awaited
        self.interim, self.finals, self.broken = [], [], None
        try:
            self._take_apart(raw, list(methods))
        except Malformed as error:
            self.broken = str(error)
        except Incomplete as error:
            self.broken = f"an answer is cut: {error}"

    def _take_apart(self, data, methods):
        while data:
            method = methods[len(self.finals)] if len(self.finals) < len(methods) else "GET"
            answer, data = take_answer(data, method, self.closed)
            if answer.status >= 200:
                self.finals.append(answer)
                continue
            self.interim.append(answer.status)
            if answer.status == 101:
                return

    def __str__(self):
        parts = [str(status) for status in self.interim] + [str(a) for a in self.finals]
        if self.broken:
            parts.append(f"broken: {self.broken}: {self.raw[-120:]!r}")
        return "; ".join(parts + ["closed" if self.closed else "left open"])


# ---- taking answers apart: RFC 9112 4, 5, 6 ----------------------------------------------


def take_head(data):
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        raise Malformed("no answer") if not data.startswith(b"HTTP/1.") else Incomplete("a head")
    lines = head.split(b"\r\n")
    first = STATUS_LINE.fullmatch(lines[0])
    if not first:
        raise Malformed(f"a status line {lines[0][:60]!r}")
    fields = []
    for line in lines[1:]:
        field = FIELD.fullmatch(line)
        if not field:
            raise Malformed(f"a field line {line[:60]!r}")
        fields.append((field.group(1).lower(), field.group(2)))
    return Answer(int(first.group(1)), fields, b""), rest


def take_chunks(data):
    body = b""
    while True:
        line = CHUNK.match(data)
        if not line:
            raise Incomplete("chunks") if b"\r\n" not in data else Malformed("a chunk's line")
        size, data = int(line.group(1), 16), data[line.end():]
        if size == 0:
            break
        if len(data) < size + 2:
            raise Incomplete("a chunk")
        if data[size:size + 2] != b"\r\n":
            raise Malformed("a chunk's end")
        body, data = body + data[:size], data[size + 2:]
    while not data.startswith(b"\r\n"):
        line, end, data = data.partition(b"\r\n")
        if not end:
            raise Incomplete("trailer fields")
        if not FIELD.fullmatch(line):
            raise Malformed("a trailer field")
    return body, data[2:]


def take_counted(answer, data):
    length = answer.values(b"content-length")[0]
    if not re.fullmatch(rb"\d+", length):
        raise Malformed("a Content-Length")
    if len(data) < int(length):
        raise Incomplete("a body")
    return data[:int(length)], data[int(length):]


def take_answer(data, method, closed):
    answer, data = take_head(data)
    codings, lengths = answer.values(b"transfer-encoding"), answer.values(b"content-length")
    if codings and lengths or len(codings) > 1 or len(lengths) > 1:
        raise Malformed("two framings of one answer")
    if (answer.status < 200 or answer.status == 204) and (codings or lengths):
        raise Malformed(f"a framing of {answer.status}")
    if answer.status < 200 or answer.status in (204, 304) or method == "HEAD":
        return answer, data
    if codings:
        if codings[0].lower() != b"chunked":
            raise Malformed("a transfer coding")
        answer.body, data = take_chunks(data)
    elif lengths:
        answer.body, data = take_counted(answer, data)
    elif closed:
        answer.body, data = data, b""
    else:
        raise Incomplete("a body that ends with the connection")
    return answer, data


# ---- talking --------------------------------------------------------------------------------


class Conversation:
    def __init__(self, address, patience):
        self.sock = socket.create_connection(address, timeout=patience)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.raw = b""
        self.closed = False

    def send(self, data):
        """What a server that has closed no longer takes is none of its business."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError, socket.timeout):
            pass

    def more(self):
        """False: nothing came, for an end or for silence."""
        try:
            data = self.sock.recv(65536)
        except socket.timeout:
            return False
        except ConnectionError:
            data = b""
        self.closed = not data
        self.raw += data
        return bool(data)

    def finish(self):
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def statuses(self):
        return [int(status) for status in re.findall(rb"^HTTP/1\.1 (\d{3}) ", self.raw, re.M)]

    def step(self, step):
        if step == AWAIT:
            while b"\r\n\r\n" not in self.raw and self.more():
                pass
        elif step == FINISH:
            self.finish()
        elif isinstance(step, Slowly):
            for i in range(len(step.data)):
                self.send(step.data[i:i + 1])
                time.sleep(0.0005)
        else:
            self.send(step)


def talk(address, steps, methods, patience):
    """The Outcome. methods: of the requests, in order, as far as they are not GET."""
    conversation = Conversation(address, patience)
    awaited = []
    with conversation.sock:
        for step in steps:
            conversation.step(step)
            if step == AWAIT:
                awaited = conversation.statuses()
        while not conversation.closed and conversation.more():
            pass
    return Outcome(conversation.raw, methods, conversation.closed, awaited)
