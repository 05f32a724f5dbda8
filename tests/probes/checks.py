"""What may come of a probe, said in a few words.

A check is a function from an Outcome to None, or to a text that says what is wrong. Behind
most probes stands MARKER, a sound request of its own that asks to close: whether it is
understood tells whether the server and we agree on where the probe ended.
"""

import re
from urllib.parse import unquote_to_bytes

MARKER = (b"GET /marker HTTP/1.1\r\nHost: marker.example\r\n"
          b"Connection: close\r\n\r\n")
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n"

# What a server may say to a malformed request: 400, or what is more to the point.
# 500 is no answer to a client's fault.
ERRORS = frozenset(range(400, 500)) | {501, 505}


def show(statuses):
    if len(statuses) > 5:
        return "an error"
    return ", ".join(str(status) for status in sorted(statuses))


# ---- of every probe -----------------------------------------------------------------------


def reaches(outcome, target):
    return any(target in (answer.echo() or {}).get(b"target", b"") for answer in outcome.finals)


def sound(outcome):
    """All answers are well formed, and nothing that hid in another message was served."""
    if outcome.broken:
        return outcome.broken
    if reaches(outcome, b"/smuggled"):
        return "the hidden request reached the application"
    return None


def marker_or_end(outcome, answers):
    """Behind the probe: MARKER's answer as it must be, or an end."""
    if not answers:
        return None if outcome.closed else "no answer to the request behind it, and left open"
    if len(answers) > 1:
        return "more answers than requests"
    seen = answers[0].echo() or {}
    wanted = {b"method": b"GET", b"target": b"/marker", b"body": b""}
    if answers[0].status != 200 or any(seen.get(key) != wanted[key] for key in wanted):
        return f"the request behind it was misread: {answers[0]}"
    return None


def ended(outcome, answers):
    """The connection is closed."""
    if answers:
        return f"the connection went on: {answers[0]}"
    return None if outcome.closed else "the connection was left open"


def given_up(outcome, answers):
    """The connection is closed, or said to be and lingers until the client closes."""
    if not answers and outcome.finals[-1].has_option(b"close"):
        return None
    return ended(outcome, answers)


# ---- checks -------------------------------------------------------------------------------------


def _differs(seen, name, wanted):
    """wanted: None (whatever), bytes, several of them, or a pattern."""
    if wanted is None:
        return None
    value = seen.get(name)
    if isinstance(wanted, re.Pattern):
        return None if wanted.fullmatch(value or b"") else f"{name.decode()} is {value!r}"
    allowed = wanted if isinstance(wanted, tuple) else (wanted,)
    return None if value in allowed else f"{name.decode()} is {value!r}"


def targets(target):
    """How an application may see a target: as sent, or decoded; absolute, or without the
    authority."""
    relative = re.sub(rb"^[Hh][Tt][Tt][Pp]s?://[^/?]*", b"", target)
    if not relative.startswith((b"/", b"*")):
        relative = b"/" + relative
    return target, relative, unquote_to_bytes(target), unquote_to_bytes(relative)


def saw(answer, method=None, target=None, **wanted):
    if not 200 <= answer.status < 300:
        return f"refused by {answer.status}"
    if method == b"HEAD":
        return None
    seen = answer.echo()
    if seen is None:
        return "an answer that is not the application's"
    wanted = {"method": method, "target": targets(target) if target else None, **wanted}
    for name, value in wanted.items():
        wrong = _differs(seen, name.encode(), value)
        if wrong:
            return wrong
    return None


def accept(method=b"GET", target=b"/x", body=b"", ends=False, **wanted):
    """The application sees exactly this. ends: and the connection closes."""
    def check(outcome):
        if not outcome.finals:
            return "no answer"
        first, rest = outcome.finals[0], outcome.finals[1:]
        return (saw(first, method, target, body=body, **wanted)
                or (ended if ends else marker_or_end)(outcome, rest))
    return check


def reject(statuses=ERRORS, closes=True, mute=False):
    """An error, of those that are named; closes: and an end, for nothing can be known of
    what is behind. mute: an end without a word will do."""
    def check(outcome):
        if not outcome.finals:
            if mute and outcome.closed:
                return None
            return "closed without an answer" if outcome.closed else "no answer"
        first, rest = outcome.finals[0], outcome.finals[1:]
        if first.status not in statuses:
            return f"{first}, not {show(statuses)}"
        return (given_up if closes else marker_or_end)(outcome, rest)
    return check


def success(outcome):
    """Any, in sync with what is behind it."""
    if not outcome.finals:
        return "no answer"
    if not 200 <= outcome.finals[0].status < 300:
        return f"refused by {outcome.finals[0].status}"
    return marker_or_end(outcome, outcome.finals[1:])


def either(*checks):
    def check(outcome):
        wrongs = [one(outcome) for one in checks]
        return None if None in wrongs else " / ".join(wrongs)
    return check


def both(*checks):
    def check(outcome):
        return next(filter(None, (one(outcome) for one in checks)), None)
    return check


def sequence(*wanted):
    """Requests on one connection, in their order: keywords of saw() for each."""
    def check(outcome):
        if len(outcome.finals) != len(wanted):
            return f"{len(outcome.finals)} answers to {len(wanted)} requests"
        for answer, keywords in zip(outcome.finals, wanted):
            wrong = saw(answer, **keywords)
            if wrong:
                return wrong
        return None
    return check


def status(number, method=b"GET"):
    """The application's status, without content."""
    def check(outcome):
        if not outcome.finals:
            return "no answer"
        first, rest = outcome.finals[0], outcome.finals[1:]
        if first.status != number:
            return f"{first.status}"
        if first.body and number in (204, 205, 304):
            return f"content in {number}"
        return marker_or_end(outcome, rest)
    return check


def waits_or_rejects(outcome):
    """Of a body that is announced but not all there: the application has not got it, and
    what is sent behind is not a request."""
    if any(answer.status < 400 for answer in outcome.finals):
        return f"served: {outcome.finals[-1]}"
    return given_up(outcome, outcome.finals[1:]) if outcome.finals else None


def not_served(outcome):
    """Whatever is said: no success."""
    if any(answer.status < 400 for answer in outcome.finals):
        return f"served: {outcome.finals[0]}"
    return None if outcome.closed else "left open"


def first_field(name, pattern, statuses=None):
    """The first answer has the field, once."""
    def check(outcome):
        if not outcome.finals:
            return "no answer"
        first = outcome.finals[0]
        if statuses and first.status not in statuses:
            return f"{first.status}"
        values = first.values(name)
        if len(values) != 1 or not re.fullmatch(pattern, values[0]):
            return f"{name.decode()} of {first.status} is {values}"
        return None
    return check
