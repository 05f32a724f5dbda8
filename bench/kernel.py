"""What the kernel holds for a connection that nothing is in flight on.

Many loopback connections are made within this process, each of its objects by the kernel's own
count (/proc/slabinfo, root's to read). A cache counts with the whole objects that each connection
has of it, and of three counts the median is taken, so what else the machine does meanwhile hardly
shows. Both ends of a connection are here, so an end has half.
"""

import contextlib
import select
import socket
import statistics

PAGE = 4096
SLABINFO = "/proc/slabinfo"


class KernelError(Exception):
    pass


def _objects():
    """{cache: (objects in use, bytes that each takes)}"""
    try:
        with open(SLABINFO) as info:
            lines = info.read().splitlines()[2:]
    except OSError as error:
        raise KernelError(f"{SLABINFO}: {error.strerror}")
    rows = (line.split() for line in lines)
    return {row[0]: (int(row[1]), int(row[5]) * PAGE / int(row[4])) for row in rows}


def _growth(before, after, count):
    """Bytes of the whole objects that each of `count` has."""
    return sum(round((objects - before.get(cache, (0, 0))[0]) / count) * size
               for cache, (objects, size) in after.items())


def _connect(stack, listener):
    near = stack.enter_context(socket.create_connection(listener.getsockname()))
    far, _ = listener.accept()
    stack.enter_context(far)
    far.settimeout(None)
    return far


def _measure(count):
    """Bytes of both ends of a connection, and of one's being watched by epoll."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=16))
        epoll = stack.enter_context(select.epoll())
        before = _objects()
        connections = [_connect(stack, listener) for _ in range(count)]
        connected = _objects()
        for connection in connections:
            epoll.register(connection, select.EPOLLIN)
        watched = _objects()
    return _growth(before, connected, count), _growth(connected, watched, count)


def measure(count):
    """Bytes of one end of a connection, and of its being watched by epoll."""
    pairs, watches = zip(*(_measure(count) for _ in range(3)))
    return {"end": statistics.median(pairs) / 2, "watch": statistics.median(watches)}
