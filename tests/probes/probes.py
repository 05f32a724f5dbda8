"""The probes: what is sent, what RFC 9110 and 9112 let a server make of it.

A probe demands what the text demands (its clause and its level stand with it) and allows
whatever the text allows: where a recipient MAY be lenient, the lenient reading passes,
provided that it is the one the text describes. A level GRAMMAR is RFC 9112 2.2: what
does not match the grammar, aside from the exceptions that the text grants, SHOULD be
answered by 400 and the connection closed.

The clause that lets a request line be taken apart at any whitespace (3, MAY) and the one
that lets a line end in LF (2.2, MAY) are such exceptions; there is none for the lines of
chunks.

Not asked about are printable characters that no URI has (RFC 3986) but browsers send, such
as "|", and malformed escapes in queries, which servers do not decode; nor HTTP/1.2, which
SHOULD be taken for 1.1 (9110 2.5) though half of the servers, cress among them, refuse it.
"""

import re

from checks import (ERRORS, MARKER, SMUGGLED, accept, both, either, first_field, not_served,
                    reject, sequence, sound, status, success, waits_or_rejects)
from wire import AWAIT, FINISH, Slowly

GRAMMAR = "9112 2.2 SHOULD (grammar)"
BODY_CLAUSE = "9112 7.1 SHOULD (grammar, by 2.2)"
HOST = b"Host: a.example\r\n"
BAD = frozenset({400})
NO_CODING = frozenset({400, 501})
UNKNOWN_METHOD = frozenset({405, 501})
PROBES = []


class Probe:
    def __init__(self, category, name, clause, steps, check, methods=(), any_protocol=False):
        self.category, self.name, self.clause = category, name, clause
        self.steps, self.check, self.methods = steps, check, methods
        self.any_protocol = any_protocol

    def judge(self, outcome):
        """What is wrong, or None."""
        wrong = None if self.any_protocol else sound(outcome)
        return wrong or self.check(outcome)


def raw(name, clause, data, check, tail=MARKER, methods=()):
    """data: bytes, or steps. tail: what is sent behind."""
    category, _, name = name.partition("/")
    steps = list(data) if isinstance(data, (list, tuple)) else [data]
    if isinstance(steps[-1], bytes):
        steps[-1] += tail
    elif tail and steps[-1] != FINISH:
        steps.append(tail)
    PROBES.append(Probe(category, name, clause, steps, check, methods))


def octets(text):
    return text if isinstance(text, bytes) else text.encode("latin-1")


def request(*lines, start=b"GET /x HTTP/1.1", host=HOST, body=b""):
    fields = b"".join(octets(line) + b"\r\n" for line in lines)
    return octets(start) + b"\r\n" + host + fields + b"\r\n" + octets(body)


def line(name, clause, start, check, **kwargs):
    """A request line of this kind."""
    methods = kwargs.pop("methods", ())
    raw("request-line/" + name, clause, request(start=start), check, methods=methods, **kwargs)


def post(*lines, body=b"", version="1.1"):
    return request(*lines, start=f"POST /x HTTP/{version}", body=body)


def accept_post(body=b"hello", **kwargs):
    return accept(b"POST", body=body, **kwargs)


# ---- request line ---------------------------------------------------------------------------

CLAUSE_BLANKS = "9112 3 MAY (blanks), else SHOULD 400"


def define_request_line():
    lenient = either(accept(), reject())
    for name, start in [
            ("two-blanks-before-target", b"GET  /x HTTP/1.1"),
            ("two-blanks-before-version", b"GET /x  HTTP/1.1"),
            ("tab-before-target", b"GET\t/x HTTP/1.1"),
            ("tab-before-version", b"GET /x\tHTTP/1.1"),
            ("vertical-tab-before-version", b"GET /x\x0bHTTP/1.1"),
            ("form-feed-before-target", b"GET\x0c/x HTTP/1.1"),
            ("bare-CR-before-version", b"GET /x\rHTTP/1.1"),
            ("bare-CR-before-target", b"GET\r/x HTTP/1.1"),
            ("leading-blank", b" GET /x HTTP/1.1"),
            ("trailing-blank", b"GET /x HTTP/1.1 "),
            ("trailing-tab", b"GET /x HTTP/1.1\t"),
            ("trailing-bare-CR", b"GET /x HTTP/1.1\r")]:
        line(name, CLAUSE_BLANKS, start, lenient)
    raw("request-line/bare-LF", "9112 2.2 MAY", b"GET /x HTTP/1.1\n" + HOST + b"\r\n", lenient)

    for name, start in [
            ("no-version", b"GET /x"),
            ("no-version-but-blank", b"GET /x "),
            ("no-target", b"GET HTTP/1.1"),
            ("no-target-two-blanks", b"GET  HTTP/1.1"),
            ("method-alone", b"GET"),
            ("word-behind-version", b"GET /x HTTP/1.1 x"),
            ("method-with-colon", b"GET: /x HTTP/1.1"),
            ("method-with-at", b"G@T /x HTTP/1.1"),
            ("method-with-slash", b"GET/x HTTP/1.1"),
            ("method-in-brackets", b"(GET) /x HTTP/1.1"),
            ("method-quoted", b"\"GET\" /x HTTP/1.1"),
            ("method-with-NUL", b"G\0T /x HTTP/1.1"),
            ("method-with-control", b"G\x01T /x HTTP/1.1"),
            ("method-with-obs-text", b"G\xc9T /x HTTP/1.1"),
            ("byte-order-mark", b"\xef\xbb\xbfGET /x HTTP/1.1")]:
        line(name, GRAMMAR, start, reject())
    for name, version in [
            ("lower-case", b"http/1.1"), ("mixed-case", b"HttP/1.1"), ("other-name", b"HTTQ/1.1"),
            ("https", b"HTTPS/1.1"), ("short", b"HTP/1.1"), ("no-slash", b"HTTP1.1"),
            ("no-minor", b"HTTP/1"), ("dot-alone", b"HTTP/1."), ("comma", b"HTTP/1,1"),
            ("two-digits-major", b"HTTP/01.1"), ("two-digits-minor", b"HTTP/1.10"),
            ("three-parts", b"HTTP/1.1.1"), ("letter-behind", b"HTTP/1.1x"),
            ("blank-within", b"HTTP/ 1.1"), ("negative", b"HTTP/-1.1"), ("sign", b"HTTP/+1.1"),
            ("hex", b"HTTP/1.A"), ("NUL-behind", b"HTTP/1.1\0")]:
        line("version-" + name, "9112 2.3, " + GRAMMAR, b"GET /x " + version, reject())
    for version in (b"2.0", b"3.0", b"9.9", b"0.9"):
        line("version-" + version.decode(), "9110 2.5, 15.6.6: 505, or an answer in 1.1",
             b"GET /x HTTP/" + version, either(accept(), reject(), accept(ends=True)))

    as_sent = "9110 9.1 SHOULD (501 or 405, or the application's)"
    for name, method in [("unknown", b"FROB"), ("lower-case", b"get"), ("mixed-case", b"Get"),
                         ("of-40-letters", b"A" * 40), ("with-digits", b"X2"),
                         ("of-all-token-characters", b"!#$%&'*+-.^_`|~")]:
        line("method-" + name, as_sent, method + b" /x HTTP/1.1",
             either(accept(method), reject(UNKNOWN_METHOD),
                    reject(UNKNOWN_METHOD, closes=False)))
    line("method-of-9000-letters", "9112 3 SHOULD 501", b"A" * 9000 + b" /x HTTP/1.1",
         either(accept(b"A" * 9000), reject({501, 405, 400, 414, 431})))

    raw("request-line/empty-line-before", "9112 2.2 SHOULD", b"\r\n" + request(), accept())
    raw("request-line/two-empty-lines-before", "9112 2.2 (at least one)",
        b"\r\n\r\n" + request(), lenient)
    raw("request-line/bare-LF-before", "9112 2.2 MAY", b"\n" + request(), lenient)
    raw("request-line/bare-CR-before", "9112 2.2 MUST (invalid, or a blank)",
        b"\r" + request(), lenient)
    raw("request-line/empty-line-between", "9112 2.2 SHOULD",
        post("Content-Length: 5", body="hello") + b"\r\n", accept_post())
    raw("request-line/of-8000-octets", "9112 3 RECOMMENDED",
        request(start=b"GET /" + b"a" * 7986 + b" HTTP/1.1"),
        accept(target=b"/" + b"a" * 7986))
    raw("request-line/target-of-100000-octets", "9112 3 MUST 414",
        request(start=b"GET /" + b"a" * 100000 + b" HTTP/1.1"),
        either(accept(target=b"/" + b"a" * 100000), reject({414}), reject({414}, closes=False)))
    raw("request-line/target-of-2000000-octets", "9112 3 MUST 414",
        request(start=b"GET /" + b"a" * 2000000 + b" HTTP/1.1"),
        either(accept(target=b"/" + b"a" * 2000000), reject({414}), reject({414}, closes=False)))


# ---- targets ------------------------------------------------------------------------------


def define_targets():
    def target(name, clause, text, check, method=b"GET", **kwargs):
        raw("target/" + name, clause, request(start=method + b" " + text + b" HTTP/1.1"), check,
            **kwargs)

    for name, text in [
            ("root", b"/"), ("query", b"/x?a=b&c=d"), ("empty-query", b"/x?"),
            ("query-with-marks", b"/x?a?b/c:d@e"), ("sub-delims", b"/!$&'()*+,;=:@"),
            ("unreserved", b"/-._~"), ("parameter", b"/x;a=b"),
            ("escape", b"/a%20b"), ("lower-case-escape", b"/%c3%a9"), ("escaped-slash", b"/a%2Fb"),
            ("long-query", b"/x?" + b"q" * 4000)]:
        target(name, "9112 3.2.1", text, accept(target=text))
    target("empty-first-segment", "9112 3.2.1", b"//x",
           either(accept(target=b"//x"), accept(target=b"/x")))
    target("dot-segments", "RFC 3986 6.2.2.3 (may be removed)", b"/a/../x",
           either(accept(target=b"/a/../x"), accept(target=b"/x"), reject(closes=False)))

    for name, text in [
            ("fragment", b"/x#part"), ("fragment-alone", b"#part"), ("blank-within", b"/a b"),
            ("bare-CR-within", b"/a\rb"), ("NUL", b"/a\0b"), ("NUL-at-end", b"/a\0"),
            ("control", b"/a\x01b"), ("escape-character", b"/a\x1bb"), ("DEL", b"/a\x7fb"),
            ("obs-text", b"/a\xffb"), ("raw-UTF-8", b"/caf\xc3\xa9"),
            ("malformed-escape", b"/%zz"), ("cut-escape", b"/a%4"), ("lone-percent", b"/a%"),
            ("no-slash", b"x"), ("query-alone", b"?x"), ("address-and-port", b"127.0.0.1:80"),
            ("asterisk-with-more", b"*/x"), ("asterisk-with-GET", b"*"),
            ("backslash-first", b"\\x"), ("dot-first", b"./x")]:
        target(name, "9112 3, 3.2 SHOULD 400", text, either(reject(), reject({301})))

    absolute = "9112 3.2.2 MUST"
    for name, text in [
            ("absolute", b"http://a.example/x"), ("absolute-port", b"http://a.example:80/x"),
            ("absolute-query", b"http://a.example/x?a=b"),
            ("absolute-empty-port", b"http://a.example:/x"),
            ("absolute-upper-case", b"HTTP://A.EXAMPLE/x")]:
        target(name, absolute, text, accept(target=text))
    target("absolute-no-path", absolute, b"http://a.example",
           either(accept(target=b"http://a.example"), accept(target=b"http://a.example/")))
    target("absolute-query-no-path", absolute, b"http://a.example?a=b",
           either(accept(target=b"http://a.example?a=b"), accept(target=b"?a=b")))
    raw("target/absolute-other-host", "9112 3.2.2 MUST (Host is ignored)",
        request(start=b"GET http://b.example/x HTTP/1.1"),
        accept(target=b"http://b.example/x", host=(b"b.example", b"b.example:80")))
    raw("target/absolute-without-Host", "9112 3.2 MUST 400",
        request(start=b"GET http://a.example/x HTTP/1.1", host=b""), reject(BAD, closes=False))
    raw("target/absolute-on-1.0", absolute, request(start=b"GET http://a.example/x HTTP/1.0"),
        accept(target=b"http://a.example/x", ends=True), tail=b"")
    invalid = reject(ERRORS, closes=False)
    target("absolute-empty-host", "9110 4.2.1 MUST", b"http:///x", either(invalid, reject()))
    target("absolute-no-authority", "9110 4.2.1 MUST", b"http:", either(invalid, reject()))
    target("absolute-one-slash", "9110 4.2.1 MUST", b"http:/a.example/x",
           either(invalid, reject()))
    target("absolute-port-alone", "9110 4.2.1 MUST", b"http://:80/x", either(invalid, reject()))
    target("absolute-user", "9110 4.2.4 SHOULD", b"http://user@a.example/x",
           either(invalid, reject()))
    target("absolute-user-and-password", "9110 4.2.4 SHOULD", b"http://u:p@a.example/x",
           either(invalid, reject()))
    target("absolute-https-in-plain", "9110 7.4 MUST", b"https://a.example/x",
           either(invalid, reject()))
    for name, text in [
            ("absolute-bad-port", b"http://a.example:8x/x"),
            ("absolute-two-ports", b"http://a.example:80:80/x"),
            ("absolute-open-bracket", b"http://[::1/x"),
            ("absolute-bad-IPv6", b"http://[::g]/x"),
            ("absolute-fragment", b"http://a.example/x#part")]:
        target(name, "9112 3.2.2 SHOULD 400 (RFC 3986 grammar)", text,
               either(invalid, reject(), reject({301})))

    somehow = either(success, reject({405, 501}), reject({405, 501}, closes=False))
    target("asterisk", "9112 3.2.4", b"*", somehow, b"OPTIONS")
    target("options-of-a-server-without-path", "9112 3.2.4", b"http://a.example", somehow,
           b"OPTIONS")
    refused = either(invalid, reject(mute=True))
    target("connect", "9110 9.3.6 MUST NOT (a length in 2xx); need not be served",
           b"a.example:80", either(refused, tunnel), b"CONNECT", methods=["CONNECT"])
    target("connect-no-port", "9110 9.3.6 MUST", b"a.example", refused, b"CONNECT",
           methods=["CONNECT"])
    target("connect-empty-port", "9110 9.3.6 MUST", b"a.example:", refused, b"CONNECT",
           methods=["CONNECT"])
    target("connect-path", "9112 3.2.3, 3 SHOULD 400", b"/x", refused, b"CONNECT",
           methods=["CONNECT"])


def tunnel(outcome):
    if not outcome.finals or not 200 <= outcome.finals[0].status < 300:
        return "no tunnel"
    first = outcome.finals[0]
    framed = first.values(b"content-length") or first.values(b"transfer-encoding")
    return "2xx with a length" if framed else None


# ---- Host -------------------------------------------------------------------------------------


def define_hosts():
    def host(name, clause, fields, check, start=b"GET /x HTTP/1.1", **kwargs):
        raw("host/" + name, clause, request(start=start, host=fields), check, **kwargs)

    must = "9112 3.2 MUST 400"
    refused = reject(BAD, closes=False)
    refused = either(refused, reject(BAD))
    host("none", must, b"", refused)
    host("two-different", must, b"Host: a.example\r\nHost: b.example\r\n", refused)
    host("two-equal", must, b"Host: a.example\r\nHost: a.example\r\n", refused)
    host("two-apart", must, b"Host: a.example\r\nX-Other: v\r\nhost: b.example\r\n", refused)
    host("two-second-empty", must, b"Host: a.example\r\nHost:\r\n", refused)
    host("two-on-1.0", must, b"Host: a.example\r\nHost: b.example\r\n",
         reject(BAD), start=b"GET /x HTTP/1.0", tail=b"")
    for name, value in [
            ("blank-within", b"a b"), ("slash", b"a.example/x"), ("user", b"u@a.example"),
            ("port-not-digits", b"a.example:80x"), ("port-negative", b"a.example:-1"),
            ("two-ports", b"a.example:80:80"), ("open-bracket", b"[::1"), ("empty-brackets", b"[]"),
            ("bad-IPv6", b"[::g]"), ("bare-IPv6", b"::1"), ("fragment", b"a.example#b"),
            ("query", b"a.example?b"), ("backslash", b"a\\b"), ("scheme", b"http://a.example"),
            ("angle-brackets", b"<a>"), ("quoted", b"\"a.example\""), ("caret", b"a^b"),
            ("malformed-escape", b"a%zz"), ("obs-text", b"a\xe9b"),
            ("list", b"a.example, b.example"),
            ("tab-within", b"a\tb"), ("port-blank", b"a.example: 80")]:
        host(name, must, b"Host: " + value + b"\r\n", refused)
    host("NUL", must, b"Host: a\0b\r\n", reject(BAD))
    host("folded", "9112 3.2, 5.2 MUST 400", b"Host: a.example\r\n b.example\r\n", reject(BAD))
    host("blank-before-colon", "9112 5.1 MUST 400", b"Host : a.example\r\n", reject(BAD))
    for name, fields, seen in [
            ("port", b"Host: a.example:8080\r\n", (b"a.example:8080", b"a.example")),
            ("empty-port", b"Host: a.example:\r\n", None),
            ("lower-case-name", b"host: a.example\r\n", b"a.example"),
            ("upper-case-name", b"HOST: a.example\r\n", b"a.example"),
            ("upper-case", b"Host: A.EXAMPLE\r\n", (b"A.EXAMPLE", b"a.example")),
            ("IPv4", b"Host: 127.0.0.1\r\n", b"127.0.0.1"),
            ("IPv6", b"Host: [::1]:8080\r\n", (b"[::1]:8080", b"[::1]")),
            ("no-blank", b"Host:a.example\r\n", b"a.example"),
            ("blanks-around", b"Host: \t a.example \t\r\n", b"a.example"),
            ("not-first", b"X-Other: v\r\nHost: a.example\r\n", b"a.example"),
            ("underscore", b"Host: a_b.example\r\n", b"a_b.example")]:
        host(name, "9110 7.2", fields, accept(host=seen))
    host("empty", "9112 3.2 (allowed), 9110 4.2.1", b"Host:\r\n",
         either(accept(), refused))
    host("none-on-1.0", "9112 3.2 (1.1 only)", b"", accept(ends=True),
         start=b"GET /x HTTP/1.0", tail=b"")


# ---- fields -----------------------------------------------------------------------------------


def define_fields():
    def field(name, clause, fields, check, **kwargs):
        raw("field/" + name, clause, request(host=HOST + fields), check, **kwargs)

    def value(name, clause, text, check):
        field(name, clause, b"X-Probe: " + text + b"\r\n", check)

    for name, text, seen in [
            ("plain", b"X-Probe: v\r\n", b"v"), ("no-blank", b"X-Probe:v\r\n", b"v"),
            ("tab", b"X-Probe:\tv\r\n", b"v"), ("blanks-around", b"X-Probe:  v \t\r\n", b"v"),
            ("lower-case", b"x-probe: v\r\n", b"v"), ("upper-case", b"X-PROBE: v\r\n", b"v"),
            ("colon-within", b"X-Probe: a: b\r\n", b"a: b")]:
        field(name, "9112 5, 5.1", text, accept(probe=seen))
    value("blanks-within", "9110 5.5", b"a \t b", accept(probe=b"a \t b"))
    value("obs-text", "9110 5.5 SHOULD (opaque)", b"\xe9\xff\x80", accept(probe=b"\xe9\xff\x80"))
    field("empty", "9110 5.5", b"X-Probe:\r\n", accept(probe=b""))
    field("blanks-alone", "9112 5.1", b"X-Probe:  \t \r\n", accept(probe=b""))
    value("quoted", "9110 5.6.4", b"\"a, \\\"b\"", accept(probe=b"\"a, \\\"b\""))
    value("of-4000-octets", "9110 5.4", b"v" * 4000, accept(probe=b"v" * 4000))
    field("of-all-token-characters", "9110 5.1, 5.6.2", b"!#$%&'*+-.^_`|~: v\r\nX-Probe: v\r\n",
          accept(probe=b"v"))
    field("fifty", "9110 5.4", b"".join(b"X-%d: v\r\n" % i for i in range(50)), accept())

    blank = "9112 5.1 MUST 400"
    for name, text in [("blank-before-colon", b"X-Probe : v\r\n"),
                       ("tab-before-colon", b"X-Probe\t: v\r\n"),
                       ("blanks-before-colon", b"X-Probe  : v\r\n")]:
        field(name, blank, text, reject(BAD))
    field("without-colon", GRAMMAR, b"X-Probe\r\n", reject())
    field("without-name", GRAMMAR, b": v\r\n", reject())
    field("colon-alone", GRAMMAR, b":\r\n", reject())
    for name, text in [
            ("blank", b"X Probe"), ("NUL", b"X\0Probe"), ("control", b"X\x01Probe"),
            ("vertical-tab", b"X-Probe\x0b"), ("DEL", b"X\x7fProbe"), ("obs-text", b"X\xe9Probe"),
            ("bracket", b"X(Probe"), ("at", b"X@Probe"), ("slash", b"X/Probe"),
            ("quote", b"\"X-Probe\""), ("equals", b"X=Probe"), ("brace", b"{X-Probe}"),
            ("bare-CR", b"X\rProbe"), ("semicolon", b"X;Probe"), ("backslash", b"X\\Probe")]:
        field("name-with-" + name, GRAMMAR, text + b": v\r\n", reject())

    spaced = "9110 5.5 MUST (reject, or SP)"
    value("NUL", spaced, b"a\0b", either(accept(probe=b"a b"), reject()))
    value("NUL-first", spaced, b"\0b", either(accept(probe=(b"b", b" b")), reject()))
    value("NUL-last", spaced, b"a\0", either(accept(probe=(b"a", b"a ")), reject()))
    value("bare-CR", "9112 2.2 MUST (reject, or SP)", b"a\rb",
          either(accept(probe=b"a b"), reject()))
    value("bare-CR-last", "9112 2.2 MUST (reject, or SP)", b"a\r",
          either(accept(probe=(b"a", b"a ")), reject()))
    value("bare-CR-and-field", "9112 2.2 MUST (reject, or SP)", b"a\rX-Other: b",
          either(accept(probe=b"a X-Other: b"), reject()))
    for name, text in [("control", b"a\x01b"), ("vertical-tab", b"a\x0bb"), ("DEL", b"a\x7fb")]:
        value(name, "9110 5.5 MAY (retain)", text,
              either(accept(probe=(text, b"a b", b"ab")), reject()))
    field("bare-LF", "9112 2.2 MAY", b"X-Other: a\nX-Probe: b\r\n",
          either(accept(probe=b"b"), reject()))
    field("bare-LF-before-end", "9112 2.2 MAY", b"X-Probe: b\n",
          either(accept(probe=b"b"), reject()))
    raw("field/bare-LF-as-end", "9112 2.2 MAY", request()[:-2] + b"\n",
        either(accept(), reject()))

    folded = "9112 5.2 MUST (400, or SP)"
    fold = re.compile(rb"a[ \t]+b")
    for name, text in [("fold", b"a\r\n b"), ("fold-tab", b"a\r\n\tb"),
                       ("fold-twice", b"a\r\n \r\n b")]:
        value(name, folded, text, either(accept(probe=fold), reject(BAD)))
    value("fold-first", folded, b"\r\n b", either(accept(probe=b"b"), reject(BAD)))
    value("fold-that-looks-like-a-field", folded, b"a\r\n X-Other: b",
          either(accept(probe=re.compile(rb"a[ \t]+X-Other: b")), reject(BAD)))
    first = "9112 2.2 MUST (reject, or ignore the line)"
    raw("field/blank-before-first", first, request(host=b" X-Probe: v\r\n" + HOST),
        either(accept(probe=b""), reject()))
    raw("field/tab-before-first", first, request(host=b"\tX-Probe: v\r\n" + HOST),
        either(accept(probe=b""), reject()))
    raw("field/blank-before-Host-alone", "9112 2.2 MUST, 3.2 MUST 400",
        request(host=b" Host: a.example\r\n"), reject())
    raw("field/blank-line-before-first", first, request(host=b" \r\n" + HOST),
        either(accept(), reject()))
    raw("field/CR-CR-LF-as-end", "9112 2.2 MUST (a bare CR is no line)",
        request("X-Other: v")[:-2] + b"\r\r\n" + SMUGGLED, reject())

    large = "9110 5.4 MUST 4xx"
    field("of-100000-octets", large, b"X-Probe: " + b"v" * 100000 + b"\r\n",
          either(accept(probe=b"v" * 100000), reject(set(range(400, 500))),
                 reject(set(range(400, 500)), closes=False)))
    field("of-3000000-octets", large, b"X-Probe: " + b"v" * 3000000 + b"\r\n",
          either(accept(), reject(set(range(400, 500)))))
    field("name-of-100000-octets", large, b"X" * 100000 + b": v\r\n",
          either(accept(), reject(set(range(400, 500)))))
    field("ten-thousand", large, b"X-Other: v\r\n" * 10000,
          either(accept(), reject(set(range(400, 500)))))

    names = "9110 5.1 (another name), RFC 3875 4.1.18"
    field("underscore", names, b"X_Probe: evil\r\n", either(accept(probe=b""), reject()))
    field("underscore-beside-hyphen", names, b"X-Probe: v\r\nX_Probe: evil\r\n",
          either(accept(probe=b"v"), reject()))
    raw("field/underscore-in-Content-Length", names,
        post("Content_Length: %d" % len(SMUGGLED)), either(accept_post(b""), reject({411, 400})))
    raw("field/underscore-in-Transfer-Encoding", names,
        post("Transfer_Encoding: chunked", "Content-Length: 5", body="hello"),
        either(accept_post(), reject()))


# ---- Content-Length -----------------------------------------------------------------------------


def define_lengths():
    def length(name, clause, fields, check, body=b"hello", version="1.1", **kwargs):
        raw("content-length/" + name, clause, post(*fields, body=body, version=version), check,
            **kwargs)

    known = "9112 6.2, 6.3"
    length("plain", known, ["Content-Length: 5"], accept_post())
    length("lower-case", known, ["content-length: 5"], accept_post())
    length("blanks-around", "9112 5.1", ["Content-Length: \t5 \t"], accept_post())
    length("zero", known, ["Content-Length: 0"], accept_post(b""), body=b"")
    length("leading-zeros", "9110 8.6 (1*DIGIT)", ["Content-Length: 0005"], accept_post())
    length("many-leading-zeros", "9110 8.6 (1*DIGIT)", ["Content-Length: " + "0" * 30 + "5"],
           either(accept_post(), reject({400, 413})))
    length("none", "9112 6.3 (no body)", [], either(accept_post(b""), reject({411}),
                                                    reject({411}, closes=False)), body=b"")
    length("on-1.0", known, ["Content-Length: 5"], accept_post(ends=True), version="1.0",
           tail=b"")
    length("large", known, ["Content-Length: 65536"], accept_post(b"b" * 65536), b"b" * 65536)
    raw("content-length/named-in-Connection", "9110 7.6.1 (for those on the way)",
        post("Content-Length: 5", "Connection: Content-Length", body="hello"),
        either(accept_post(), reject()))
    lines = b"a: b\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"
    length("of-what-looks-like-a-request", known, [f"Content-Length: {len(lines)}"],
           accept_post(lines), lines)

    invalid = "9112 6.3 MUST 400, close"
    for name, text in [
            ("plus", "+5"), ("minus", "-5"), ("minus-zero", "-0"), ("hex", "0x5"),
            ("hex-digit", "a"), ("blank-within", "5 5"), ("tab-within", "5\t5"),
            ("underscore", "0_5"), ("fraction", "5.0"), ("exponent", "5e0"), ("quoted", "\"5\""),
            ("word", "five"), ("letter-behind", "5a"), ("semicolon", "5;"), ("empty", ""),
            ("superscript", "\xb2"), ("comma-alone", ","), ("two-in-a-list", "5, 6"),
            ("two-in-a-list-smaller", "6,5"), ("vertical-tab", "5\x0b"), ("NUL", "5\0"),
            ("form-feed-first", "\x0c5"), ("bare-CR-within", "5\r0")]:
        length(name, invalid, [f"Content-Length: {text}"], reject(BAD))
    length("two-fields", invalid, ["Content-Length: 5", "Content-Length: 6"], reject(BAD))
    length("two-fields-one-invalid", invalid, ["Content-Length: 5", "Content-Length: x"],
           reject(BAD))
    length("two-fields-one-empty", invalid, ["Content-Length: 5", "Content-Length: "],
           either(accept_post(), reject(BAD)))
    length("two-fields-first-zero", invalid, ["Content-Length: 0", "content-length: 5"],
           reject(BAD))
    length("blank-before-colon", "9112 5.1 MUST 400", ["Content-Length : 5"], reject(BAD))
    same = "9110 8.6 MUST (reject, or take once)"
    once = either(accept_post(), reject(BAD))
    length("two-equal-fields", same, ["Content-Length: 5", "Content-Length: 5"], once)
    length("equal-in-a-list", same, ["Content-Length: 5, 5"], once)
    length("equal-in-a-list-no-blank", same, ["Content-Length: 5,5"], once)
    length("comma-behind", same, ["Content-Length: 5,"], once)
    length("folded", "9112 5.2 MUST (400, or SP)", ["Content-Length:", " 5"], once)
    wide = "9110 8.6 (MUST anticipate overflow)"
    for name, number in [("2^31", 2**31), ("2^32+5", 2**32 + 5), ("2^63", 2**63),
                         ("2^64+5", 2**64 + 5), ("10^40", 10**40)]:
        length(name, wide, [f"Content-Length: {number}"], waits_or_rejects)

    cut = "9112 8, 6.3 (incomplete)"
    raw("content-length/cut", cut, [post("Content-Length: 9", body="hello"), FINISH], not_served)
    raw("content-length/head-cut", cut, [request()[:-4], FINISH], not_served)


# ---- Transfer-Encoding ------------------------------------------------------------------

CHUNKED = "Transfer-Encoding: chunked"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"


def define_codings():
    def coding(name, clause, fields, check, body=HELLO, version="1.1", **kwargs):
        raw("transfer-encoding/" + name, clause, post(*fields, body=body, version=version), check,
            **kwargs)

    for name, text in [("plain", "chunked"), ("upper-case", "CHUNKED"), ("mixed-case", "cHuNkEd"),
                       ("blanks-around", "\t chunked \t")]:
        coding(name, "9112 6.1, 7 MUST", ["Transfer-Encoding: " + text], accept_post())
    coding("no-blank", "9112 5.1", ["transfer-encoding:chunked"], accept_post())
    raw("transfer-encoding/GET", "9112 6 (whatever the method)", request(CHUNKED, body=HELLO),
        either(accept(body=(b"hello", b"")), reject()))
    empty_element = "9110 5.6.1 MUST (ignore empty elements)"
    for name, text in [("comma-behind", "chunked,"), ("comma-before", ", chunked")]:
        coding(name, empty_element, ["Transfer-Encoding: " + text],
               either(accept_post(), reject(NO_CODING)))

    unknown = "9112 6.1 SHOULD 501"
    for name, text in [("gzip-chunked", "gzip, chunked"), ("identity-chunked", "identity, chunked"),
                       ("unknown-chunked", "frob, chunked")]:
        coding(name, unknown, ["Transfer-Encoding: " + text], reject(NO_CODING))
    last = "9112 6.3 MUST 400, close"
    for name, text in [
            ("chunked-gzip", "chunked, gzip"), ("chunked-identity", "chunked, identity"),
            ("gzip", "gzip"), ("identity", "identity"), ("xchunked", "xchunked"),
            ("chunkedx", "chunkedx"), ("x-chunked", "x-chunked"), ("chunk", "chunk"),
            ("quoted", "\"chunked\""), ("single-quotes", "'chunked'"), ("brackets", "[chunked]"),
            ("blank-within", "chu nked"), ("semicolon", "chunked;"), ("empty", ""),
            ("vertical-tab-behind", "chunked\x0b"), ("vertical-tab-before", "\x0bchunked"),
            ("form-feed-before", "\x0cchunked"), ("NUL-behind", "chunked\0"),
            ("obs-text", "chunked\xa0"), ("bare-CR-before", "\rchunked\x0b"),
            ("two-words", "chunked chunked"), ("equals", "chunked=1"), ("hyphen", "-chunked")]:
        coding(name, last, ["Transfer-Encoding: " + text], reject(NO_CODING))
    coding("parameter", "9112 7.1 SHOULD (an error)", ["Transfer-Encoding: chunked;q=1"],
           reject(NO_CODING))
    twice = "9112 6.1 (MUST NOT be applied twice), 2.2 SHOULD 400"
    coding("chunked-twice", twice, ["Transfer-Encoding: chunked, chunked"], reject(NO_CODING))
    coding("two-fields", twice, [CHUNKED, CHUNKED], reject(NO_CODING))
    coding("two-fields-identity-last", last, [CHUNKED, "Transfer-Encoding: identity"],
           reject(NO_CODING))
    coding("two-fields-identity-first", unknown, ["Transfer-Encoding: identity", CHUNKED],
           reject(NO_CODING))
    coding("two-fields-unknown-last", last, [CHUNKED, "Transfer-encoding: cow"],
           reject(NO_CODING))
    coding("blank-before-colon", "9112 5.1 MUST 400", ["Transfer-Encoding : chunked"],
           reject(BAD))
    coding("tab-before-colon", "9112 5.1 MUST 400", ["Transfer-Encoding\t: chunked"], reject(BAD))
    coding("folded", "9112 5.2 MUST (400, or SP)", ["Transfer-Encoding:", " chunked"],
           either(accept_post(), reject(BAD)))
    coding("fold-behind", "9112 5.2 MUST (400, or SP)", [CHUNKED, " , identity"], reject(NO_CODING))
    coding("bare-CR-behind", "9112 2.2 MUST (reject, or SP)", [CHUNKED + "\r"],
           either(accept_post(), reject()))
    coding("bare-CR-hides-it", "9112 2.2 MUST (reject, or SP)", ["X-Other: a\r" + CHUNKED],
           either(accept_post(b""), reject()), body=b"")
    coding("bare-LF-hides-it", "9112 2.2 MAY", ["X-Other: a\n" + CHUNKED],
           either(accept_post(), reject()))
    coding("NUL-in-name", GRAMMAR, ["Transfer\0-Encoding: chunked"], reject())
    coding("control-before-name", GRAMMAR, ["\x0bTransfer-Encoding: chunked"], reject())

    faulty = "9112 6.1 MUST (faulty framing, close)"
    processed = either(reject(), accept_post(None, ends=True))
    coding("on-1.0", faulty, [CHUNKED], processed, version="1.0", tail=b"")
    kept = [CHUNKED, "Connection: keep-alive"]
    coding("on-1.0-kept-alive", faulty, kept, processed, version="1.0")
    coding("on-1.0-and-length", faulty, [*kept, f"Content-Length: {len(HELLO)}"], processed,
           version="1.0")


# ---- Content-Length against Transfer-Encoding -------------------------------------------------


def define_smuggling():
    closing = "9112 6.1 MUST (close), MAY reject"

    def clash(name, fields, body, seen):
        raw("smuggling/" + name, closing, post(*fields, body=body),
            either(reject(), accept_post(seen, ends=True)))

    hidden = b"0\r\n\r\n" + SMUGGLED
    inside = b"%x\r\n" % len(SMUGGLED) + SMUGGLED + b"\r\n0\r\n\r\n"
    clash("CL.TE", [f"Content-Length: {len(hidden)}", CHUNKED], hidden, b"")
    clash("TE.CL", [CHUNKED, "Content-Length: 4"], inside, SMUGGLED)
    clash("CL-zero-and-TE", ["Content-Length: 0", CHUNKED], HELLO, b"hello")
    clash("CL-right-and-TE", [f"Content-Length: {len(HELLO)}", CHUNKED], HELLO, b"hello")
    clash("TE-and-CL-invalid", [CHUNKED, "Content-Length: x"], HELLO, b"hello")
    clash("CL-twice-and-TE", ["Content-Length: 5", "Content-Length: 6", CHUNKED], HELLO, b"hello")
    clash("GET-CL.TE", [f"Content-Length: {len(hidden)}", "TRANSFER-ENCODING: Chunked"], hidden,
          b"")

    covered = f"Content-Length: {len(hidden)}"
    for name, coding in [
            ("xchunked", "Transfer-Encoding: xchunked"),
            ("identity", "Transfer-Encoding: identity"),
            ("vertical-tab", "Transfer-Encoding:\x0bchunked"),
            ("quoted", "Transfer-Encoding: \"chunked\""),
            ("list", "Transfer-Encoding: chunked, cow"),
            ("two-words", "Transfer-Encoding: chunked cow"),
            ("empty", "Transfer-Encoding:"), ("parameter", "Transfer-Encoding: chunked;a")]:
        raw("smuggling/CL.TE-" + name, "9112 6.3 MUST 400, close",
            post(covered, coding, body=hidden), reject(NO_CODING))
    for name, coding in [("blank-before-colon", "Transfer-Encoding : chunked"),
                         ("tab-before-colon", "Transfer-Encoding\t: chunked")]:
        raw("smuggling/CL.TE-" + name, "9112 5.1 MUST 400", post(covered, coding, body=hidden),
            reject(BAD))
    raw("smuggling/CL.TE-folded", "9112 5.2 MUST (400, or SP)",
        post(covered, "X-Other: a", " " + CHUNKED, body=hidden),
        either(accept_post(hidden), reject(BAD)))
    raw("smuggling/CL.TE-fold-of-it", "9112 5.2 MUST (400, or SP), 6.1 MUST (close)",
        post(covered, "Transfer-Encoding:", " chunked", body=hidden),
        either(accept_post(b"", ends=True), reject()))
    raw("smuggling/CL.TE-bare-LF", "9112 2.2 MAY, 6.1 MUST (close)",
        post(covered, "X-Other: a\n" + CHUNKED, body=hidden),
        either(accept_post(b"", ends=True), reject()))
    raw("smuggling/CL.TE-bare-CR", "9112 2.2 MUST (reject, or SP)",
        post(covered, "X-Other: a\r" + CHUNKED, body=hidden),
        either(accept_post(hidden), reject()))
    raw("smuggling/CL.TE-NUL", "9110 5.5 MUST, 9112 6.3 MUST 400",
        post(covered, "Transfer-Encoding: chunked\0", body=hidden), reject())
    raw("smuggling/CL-hidden-by-bare-CR", "9112 2.2 MUST (reject, or SP)",
        post("X-Other: a\rContent-Length: %d" % len(SMUGGLED)),
        either(accept_post(b""), reject({400, 411})))
    raw("smuggling/CL-behind-NUL", "9110 5.5 MUST (reject, or SP)",
        post("X-Other: a\0", "Content-Length: 5", body="hello"), either(accept_post(), reject()))

    framed = "9112 6, 6.3 (framed whatever the method)"
    for method in ("GET", "DELETE", "OPTIONS", "PUT", "PATCH"):
        start = f"{method} /x HTTP/1.1"
        length = f"Content-Length: {len(SMUGGLED)}"
        bodies = SMUGGLED if method in ("PUT", "PATCH") else (SMUGGLED, b"")
        raw(f"smuggling/CL.0-{method}", framed, request(length, start=start, body=SMUGGLED),
            either(accept(method.encode(), body=bodies), reject()))
    raw("smuggling/CL.0-HEAD", framed,
        request(f"Content-Length: {len(SMUGGLED)}", start="HEAD /x HTTP/1.1", body=SMUGGLED),
        either(accept(b"HEAD"), reject()), methods=["HEAD"])
    raw("smuggling/chunked-HEAD", framed, request(CHUNKED, start="HEAD /x HTTP/1.1", body=inside),
        either(accept(b"HEAD"), reject()), methods=["HEAD"])
    raw("smuggling/chunked-DELETE", framed,
        request(CHUNKED, start="DELETE /x HTTP/1.1", body=inside),
        either(accept(b"DELETE", body=(SMUGGLED, b"")), reject()))
    raw("smuggling/body-of-an-unknown-method", framed,
        request(f"Content-Length: {len(SMUGGLED)}", start="FROB /x HTTP/1.1", body=SMUGGLED),
        either(accept(b"FROB", body=(SMUGGLED, b"")), reject(), reject(closes=False)))
    raw("smuggling/body-of-a-refused-expectation", "9110 10.1.1 MAY 417; 9112 9.3 MUST",
        post("Expect: miracles", f"Content-Length: {len(SMUGGLED)}", body=SMUGGLED),
        either(accept_post(SMUGGLED), reject({417}), reject({417}, closes=False)))
    raw("smuggling/body-of-304", "9112 9.3 MUST (read the body or close)",
        request(f"Content-Length: {len(SMUGGLED)}", start="POST /status/304 HTTP/1.1",
                body=SMUGGLED), status(304))
    raw("smuggling/behind-a-malformed-request", GRAMMAR, request("no colon") + SMUGGLED, reject())
    raw("smuggling/behind-a-malformed-length", "9112 6.3 MUST 400, close",
        post("Content-Length: x") + SMUGGLED, reject(BAD))
    raw("smuggling/behind-close", "9112 9.6 MUST NOT", request("Connection: close") + SMUGGLED,
        either(accept(ends=True), reject()))


# ---- chunks -------------------------------------------------------------------------------------


def define_chunks():
    def chunks(name, clause, body, check, fields=()):
        raw("chunk/" + name, clause, post(CHUNKED, *fields, body=body), check)

    end = b"0\r\n\r\n"
    must = "9112 7.1 MUST"
    for name, body, seen in [
            ("several", b"3\r\nhel\r\n2\r\nlo\r\n" + end, b"hello"),
            ("none", end, b""),
            ("lower-case-size", b"a\r\n0123456789\r\n" + end, b"0123456789"),
            ("upper-case-size", b"A\r\n0123456789\r\n" + end, b"0123456789"),
            ("leading-zeros", b"0005\r\nhello\r\n" + end, b"hello"),
            ("last-of-many-zeros", b"5\r\nhello\r\n0000\r\n\r\n", b"hello"),
            ("line-ends-within", b"4\r\n\r\n\r\n\r\n" + end, b"\r\n\r\n"),
            ("an-end-within", b"5\r\n0\r\n\r\n\r\n" + end, b"0\r\n\r\n"),
            ("large", b"10000\r\n" + b"b" * 65536 + b"\r\n" + end, b"b" * 65536),
            ("of-one-octet", b"".join(b"1\r\n%c\r\n" % c for c in b"hello" * 50) + end,
             b"hello" * 50)]:
        chunks(name, must, body, accept_post(seen))
    extension = "9112 7.1.1 MUST (ignore)"
    for name, text in [("name", b";a"), ("value", b";a=b"), ("quoted", b";a=\"b c\""),
                       ("quoted-pair", b";a=\"b\\\"c;\""), ("several", b";a=b;c;d=\"e\""),
                       ("blanks", b" ; a = b"), ("tab", b"\t;a=b"), ("empty-quotes", b";a=\"\"")]:
        chunks("extension-" + name, extension, b"5" + text + b"\r\nhello\r\n" + end, accept_post())
    chunks("extension-of-last", extension, b"5\r\nhello\r\n0;a=b\r\n\r\n", accept_post())
    chunks("extension-of-100000-octets", "9112 7.1.1 (ought to limit, 4xx)",
           b"5;a=" + b"b" * 100000 + b"\r\nhello\r\n" + end, either(accept_post(), reject()))

    for name, line in [
            ("size-prefix", b"0x5"), ("size-plus", b"+5"), ("size-minus", b"-5"),
            ("size-underscore", b"0_5"), ("size-fraction", b"5.0"), ("size-letter", b"5g"),
            ("size-quoted", b"\"5\""), ("size-empty", b""), ("size-blank-before", b" 5"),
            ("size-tab-before", b"\t5"), ("size-blank-behind", b"5 "), ("size-tab-behind", b"5\t"),
            ("size-blank-within", b"5 5"), ("size-comma", b"5,"), ("size-NUL", b"5\0"),
            ("size-vertical-tab", b"5\x0b"), ("size-two-CRs", b"5\r"),
            ("extension-without-size", b";a=b"), ("extension-without-name", b"5;"),
            ("extension-value-alone", b"5;=b"), ("extension-no-value", b"5;a="),
            ("extension-open-quote", b"5;a=\"b"), ("extension-NUL", b"5;a\0"),
            ("extension-bare-CR", b"5;a\rb"), ("extension-bare-CR-in-quotes", b"5;a=\"\r\""),
            ("extension-control", b"5;a=\x01"), ("extension-two-words", b"5;a b")]:
        chunks(name, BODY_CLAUSE, line + b"\r\nhello\r\n" + end, reject())
    lines = "9112 7.1 (no LF for a chunk's CRLF), 2.2 SHOULD 400"
    for name, body in [
            ("bare-LF-behind-size", b"5\nhello\r\n" + end),
            ("bare-LF-behind-extension", b"5;a=b\nhello\r\n" + end),
            ("bare-LF-behind-content", b"5\r\nhello\n" + end),
            ("bare-LF-behind-last-size", b"5\r\nhello\r\n0\n\r\n"),
            ("bare-CR-behind-size", b"5\rhello\r\n" + end),
            ("bare-CR-behind-content", b"5\r\nhello\r" + end)]:
        chunks(name, lines, body, reject())
    for name, body in [
            ("longer-than-its-size", b"4\r\nhello\r\n" + end),
            ("shorter-than-its-size", b"6\r\nhello\r\n" + end),
            ("no-line-end-behind-content", b"5\r\nhello" + end),
            ("no-line-end-before-last", b"5\r\nhello0\r\n\r\n"),
            ("two-line-ends-behind-content", b"5\r\nhello\r\n\r\n" + end),
            ("size-with-content", b"5hello\r\n" + end)]:
        chunks(name, BODY_CLAUSE, body, reject())
    hidden = SMUGGLED.replace(b"\r\n", b"\n")
    chunks("request-behind-LF-of-an-extension", lines,
           b"5;\n" + b"x" * 3 + b"\r\n" + b"%x\r\n0\r\n\r\n" % 5 + SMUGGLED + end, reject())
    chunks("content-that-looks-like-a-request", must,
           b"%x\r\n" % len(hidden) + hidden + b"\r\n" + end, accept_post(hidden))
    wide = "9112 7.1 MUST (anticipate overflow)"
    for name, size in [("2^31", b"80000000"), ("2^32+5", b"100000005"),
                       ("2^63", b"8000000000000000"), ("2^64-1", b"FFFFFFFFFFFFFFFF"),
                       ("2^64+5", b"10000000000000005"), ("2^128+5", b"1" + b"0" * 31 + b"5")]:
        chunks("size-of-" + name, wide, size + b"\r\nhello\r\n" + end, waits_or_rejects)
    chunks("size-of-many-zeros", wide, b"0" * 40 + b"5\r\nhello\r\n" + end,
           either(accept_post(), reject()))

    cut = "9112 8 (incomplete: no last chunk)"
    for name, body in [("cut-in-content", b"9\r\nhello"), ("cut-behind-a-chunk", b"5\r\nhello\r\n"),
                       ("cut-in-last", b"5\r\nhello\r\n0"),
                       ("cut-before-end", b"5\r\nhello\r\n0\r\n")]:
        raw("chunk/" + name, cut, [post(CHUNKED, body=body), FINISH], not_served)


def define_trailers():
    def trailer(name, clause, fields, check):
        raw("trailer/" + name, clause,
            post(CHUNKED, body=b"5\r\nhello\r\n0\r\n" + fields + b"\r\n"), check)

    trailer("plain", "9112 7.1.2", b"X-Other: v\r\n", accept_post())
    trailer("several", "9112 7.1.2", b"X-A: v\r\nX-B:\r\nX-C: \xe9\r\n", accept_post())
    raw("trailer/announced", "9110 6.6.2",
        post(CHUNKED, "Trailer: X-Other", body=b"5\r\nhello\r\n0\r\nX-Other: v\r\n\r\n"),
        accept_post())
    apart = "9110 6.5.1 MUST NOT (merge)"
    ignored = either(accept_post(probe=b"", host=b"a.example"), reject())
    trailer("not-merged", apart, b"X-Probe: evil\r\n", ignored)
    trailer("Host", apart, b"Host: evil.example\r\n", ignored)
    trailer("Content-Length", apart, b"Content-Length: 500\r\n", ignored)
    trailer("Transfer-Encoding", apart, b"Transfer-Encoding: chunked\r\n", ignored)
    trailer("Connection", apart, b"Connection: keep-alive\r\n", ignored)
    trailer("without-colon", BODY_CLAUSE, b"X-Other\r\n", reject())
    trailer("without-name", BODY_CLAUSE, b": v\r\n", reject())
    trailer("blank-before-colon", "9112 5.1 MUST 400", b"X-Other : v\r\n", reject())
    trailer("name-with-blank", BODY_CLAUSE, b"X Other: v\r\n", reject())
    trailer("NUL-in-name", BODY_CLAUSE, b"X\0Other: v\r\n", reject())
    spaced = "9110 5.5 MUST (reject, or SP)"
    trailer("fold", "9112 5.2 MUST (400, or SP)", b"X-Other: a\r\n b\r\n", ignored)
    trailer("bare-LF", "9112 2.2 MAY", b"X-Other: a\n", either(accept_post(), reject()))
    trailer("bare-CR", spaced, b"X-Other: a\rb\r\n", either(accept_post(), reject()))
    trailer("a-request-instead", BODY_CLAUSE, SMUGGLED[:-2], reject())
    trailer("ten-thousand", "9110 5.4 MUST 4xx", b"X-Other: v\r\n" * 10000,
            either(accept_post(), reject()))


# ---- connections --------------------------------------------------------------------------------


def define_connections():
    def connection(name, clause, data, check, **kwargs):
        raw("connection/" + name, clause, data, check, **kwargs)

    first, second = {"target": b"/1"}, {"target": b"/2"}
    last = {"target": b"/marker"}
    one, two = (request(start=b"GET /%d HTTP/1.1" % i) for i in (1, 2))
    connection("kept-alive", "9112 9.3 SHOULD", [one, AWAIT, two], sequence(first, second, last))
    connection("pipelined", "9112 9.3.2 MUST (in order)", one + two,
               sequence(first, second, last))
    many = [request("Content-Length: %d" % len(b"%d" % i), start=b"PUT /%d HTTP/1.1" % i,
                    body=b"%d" % i) for i in range(20)]
    connection("twenty-pipelined", "9112 9.3.2 MUST (in order)", b"".join(many),
               sequence(*({"method": b"PUT", "target": b"/%d" % i, "body": b"%d" % i}
                          for i in range(20)), last))
    connection("pipelined-chunked", "9112 9.3.2, 7.1",
               post(CHUNKED, body=HELLO) * 3,
               sequence(*[{"method": b"POST", "body": b"hello"}] * 3, last))
    connection("octet-by-octet", "9112 2.2 (a stream of octets)",
               [Slowly(post(CHUNKED, "X-Probe: v", body=HELLO))], accept_post(probe=b"v"))
    connection("cut-between-CR-and-LF", "9112 2.2 (a stream of octets)",
               [b"GET /x HTTP/1.1\r", b"\n" + HOST[:-1], b"\n\r", b"\n"], accept())

    must = "9112 9.6 MUST"
    for name, fields in [("close", ["Connection: close"]),
                         ("close-upper-case", ["Connection: CLOSE"]),
                         ("close-in-a-list", ["Connection: x, close"]),
                         ("close-beside-keep-alive", ["Connection: keep-alive, close"]),
                         ("close-in-a-second-field", ["Connection: x", "Connection: close"]),
                         ("close-no-blanks", ["Connection:x,close,y"])]:
        connection(name, must, request(*fields), accept(ends=True), tail=b"")
    connection("close-is-said", "9112 9.6 SHOULD", request("Connection: close"),
               both(accept(ends=True), first_field(b"connection", rb"(?i:close)")), tail=b"")
    connection("close-with-a-body", must, post("Content-Length: 5", "Connection: close",
                                               body=b"hello"), accept_post(ends=True), tail=b"")
    connection("options-unknown", "9110 7.6.1", request("Connection: frob, , x"), accept())
    connection("options-empty", "9110 7.6.1, 5.6.1", request("Connection:"), accept())
    connection("TE", "9110 10.1.4", request("TE: trailers", "Connection: TE"), accept())
    connection("1.0", "9112 9.3 (closes)", request(start="GET /x HTTP/1.0"), accept(ends=True),
               tail=b"")
    connection("1.0-kept-alive", "9112 9.3, C.2.2 MAY",
               request("Connection: keep-alive", start="GET /x HTTP/1.0"),
               either(accept(ends=True), both(accept(), first_field(b"connection",
                                                                    rb"(?i:keep-alive)"))))
    connection("1.0-no-chunks", "9112 6.1 MUST NOT", request(start="GET /x HTTP/1.0"),
               no_coding, tail=b"")
    connection("1.0-POST", "9112 6.3", post("Content-Length: 5", body="hello", version="1.0"),
               accept_post(ends=True), tail=b"")

    half = "9112 6.3 (complete); RFC 9293 3.6 (half-closed)"
    connection("half-closed", half, [request(), FINISH], accept(ends=True))
    connection("half-closed-with-a-body", half,
               [post("Content-Length: 5", body="hello"), FINISH], accept_post(ends=True))
    connection("half-closed-with-chunks", half, [post(CHUNKED, body=HELLO), FINISH],
               accept_post(ends=True))
    connection("half-closed-behind-two", half, [one + two, FINISH], sequence(first, second))

    ignored = "9110 7.8 MAY (ignore)"
    connection("upgrade-unknown", ignored, request("Upgrade: frob/1", "Connection: upgrade"),
               accept())
    connection("upgrade-on-1.0", "9110 7.8 MUST (ignore)",
               request("Upgrade: frob/1", "Connection: upgrade", start="GET /x HTTP/1.0"),
               accept(ends=True), tail=b"")
    connection("upgrade-without-option", "9110 7.8", request("Upgrade: websocket"), accept())
    connection("upgrade-with-a-body", ignored,
               post("Upgrade: frob/1", "Connection: upgrade", "Content-Length: 5", body="hello"),
               accept_post())
    define_upgrade_to_2()


def no_coding(outcome):
    if not outcome.finals:
        return "no answer"
    return "Transfer-Encoding" if outcome.finals[0].values(b"transfer-encoding") else None


def define_upgrade_to_2():
    def h2c(outcome):
        if outcome.interim == [101]:
            return None
        return sound(outcome) or accept()(outcome)
    raw("connection/upgrade-to-h2c", "RFC 9113 3.1 (obsolete), 9110 7.8 MAY",
        request("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__",
                "Connection: Upgrade, HTTP2-Settings"), h2c)
    PROBES[-1].any_protocol = True


# ---- semantics --------------------------------------------------------------------------------


def define_semantics():
    def semantics(name, clause, data, check, **kwargs):
        raw("semantics/" + name, clause, data, check, **kwargs)

    def of(method, target="/x"):
        return request(start=f"{method} {target} HTTP/1.1")

    semantics("GET", "9110 9.1 MUST", request(), accept())
    semantics("HEAD", "9110 9.1, 9.3.2 MUST", of("HEAD"), accept(b"HEAD"), methods=["HEAD"])
    semantics("HEAD-twice", "9110 9.3.2 MUST NOT (content)", of("HEAD") * 2,
              lambda o: "not three answers" if len(o.finals) != 3 else
              None if o.finals[2].echo() else "misread", methods=["HEAD", "HEAD"])
    semantics("HEAD-on-1.0", "9110 9.3.2 MUST NOT", request(start="HEAD /x HTTP/1.0"),
              accept(b"HEAD", ends=True), methods=["HEAD"], tail=b"")
    semantics("HEAD-length", "9110 8.6 MUST NOT (another length than GET's)",
              [of("HEAD") + of("GET")], same_length, methods=["HEAD"])
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        semantics(method, "9110 9.1 (or 405, 501)", of(method),
                  either(accept(method.encode()), reject(UNKNOWN_METHOD | {411}, closes=False)))
    for number in (204, 205, 304):
        clause = {204: "15.3.5", 205: "15.3.6 MUST NOT", 304: "15.4.5"}[number]
        semantics(f"{number}", f"9110 {clause} (no content)",
                  request(start=f"GET /status/{number} HTTP/1.1"), status(number))
        semantics(f"HEAD-{number}", f"9110 {clause}, 9.3.2 MUST NOT",
                  request(start=f"HEAD /status/{number} HTTP/1.1"), status(number),
                  methods=["HEAD"])
    semantics("HEAD-404", "9110 9.3.2 MUST NOT", request(start="HEAD /status/404 HTTP/1.1"),
              status(404), methods=["HEAD"])
    define_dates(semantics)
    define_expectations(semantics)
    gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\3\xcbH\xcd\xc9\xc9\7\0\x86\xa6\x106\5\0\0\0"
    semantics("Content-Encoding", "9110 8.4 (or 415)",
              post("Content-Encoding: gzip", f"Content-Length: {len(gzip)}", body=gzip),
              either(accept_post((gzip, b"hello")), reject({415}, closes=False)))
    semantics("Range-ignored-or-served", "9110 14.2 MAY",
              request("Range: bytes=0-", start="GET /status/204 HTTP/1.1"), status(204))
    semantics("Accept-nothing", "9110 12.5.1 (or 406)", request("Accept: text/none"),
              either(accept(), reject({406}, closes=False)))
    semantics("Cookie-two-fields", "9110 5.3; RFC 6265 5.4",
              request("Cookie: a=b", "Cookie: c=d"), either(accept(), reject()))
    semantics("Trace", "9110 9.3.8 (or 405, 501)", of("TRACE"),
              either(accept(b"TRACE"), reject({405, 501}), reject({405, 501}, closes=False)))


def same_length(outcome):
    if len(outcome.finals) < 2:
        return "not two answers"
    head, get = (answer.values(b"content-length") for answer in outcome.finals[:2])
    # The two echoes differ by the method's name.
    if head and get and abs(int(head[0]) - int(get[0])) > 1:
        return f"Content-Length {head[0]!r} for HEAD, {get[0]!r} for GET"
    return None


IMF_DATE = (rb"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d "
            rb"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT")


def define_dates(semantics):
    must = "9110 6.6.1 MUST"
    semantics("Date-of-200", must, request(), first_field(b"date", IMF_DATE, {200}))
    semantics("Date-of-404", must, request(start="GET /status/404 HTTP/1.1"),
              first_field(b"date", IMF_DATE, {404}))
    semantics("Date-of-304", must, request(start="GET /status/304 HTTP/1.1"),
              first_field(b"date", IMF_DATE, {304}))
    semantics("Date-of-400", must, request(host=b""), first_field(b"date", IMF_DATE))
    semantics("close-with-400", "9112 9.6 SHOULD", request("X Probe: v"),
              first_field(b"connection", rb"(?i:close)", ERRORS))


def define_expectations(semantics):
    must = "9110 10.1.1 MUST (100 or a final status)"

    def interim(outcome):
        if not outcome.awaited:
            return "neither 100 nor a final status"
        return accept_post()(outcome)

    head = post("Expect: 100-continue", "Content-Length: 5")
    semantics("Expect", must, [head, AWAIT, b"hello"], interim)
    semantics("Expect-upper-case", must,
              [post("Expect: 100-CONTINUE", "Content-Length: 5"), AWAIT, b"hello"], interim)
    semantics("Expect-chunked", must,
              [post("Expect: 100-continue", CHUNKED), AWAIT, HELLO], interim)
    semantics("Expect-not-awaited", "9110 10.1.1", head + b"hello", accept_post())
    semantics("Expect-on-1.0", "9110 10.1.1, 15.2 MUST NOT (100)",
              post("Expect: 100-continue", "Content-Length: 5", body="hello", version="1.0"),
              both(accept_post(ends=True), lambda o: "1xx on 1.0" if o.interim else None),
              tail=b"")
    semantics("Expect-without-a-body", "9110 10.1.1", request("Expect: 100-continue"),
              either(accept(), reject({417}, closes=False)))
    semantics("Expect-unknown", "9110 10.1.1 MAY 417", request("Expect: miracles"),
              either(accept(), reject({417}), reject({417}, closes=False)))


# ---- what is no HTTP/1 at all ---------------------------------------------------------------


def define_garbage():
    def garbage(name, data, check=reject(mute=True), clause=GRAMMAR, steps=(FINISH,)):
        raw("garbage/" + name, clause, [data, *steps], check, tail=b"")

    hello = bytes.fromhex("16030100c8010000c40303") + bytes(range(1, 200))
    garbage("TLS-hello", hello)
    garbage("TLS-hello-with-line-ends", hello + b"\r\n\r\n" + SMUGGLED)
    garbage("NULs", bytes(100) + b"\r\n\r\n" + SMUGGLED)
    garbage("binary", bytes(range(128, 256)) + b"\r\n\r\n" + SMUGGLED)
    garbage("SSH-banner", b"SSH-2.0-OpenSSH_9.2\r\n" + SMUGGLED)
    garbage("SMTP", b"EHLO a.example\r\nMAIL FROM:<a@a.example>\r\n\r\n" + SMUGGLED)
    garbage("SIP", b"OPTIONS sip:a@a.example SIP/2.0\r\n" + HOST + b"\r\n" + SMUGGLED)
    garbage("RTSP", b"DESCRIBE rtsp://a.example/x RTSP/1.0\r\n" + HOST + b"\r\n" + SMUGGLED)
    garbage("ICY", b"GET /x ICY/1.0\r\n" + HOST + b"\r\n" + SMUGGLED)
    garbage("a-response", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + SMUGGLED)
    garbage("JSON", b"{\"method\": \"GET\", \"target\": \"/x\"}\r\n\r\n" + SMUGGLED)
    garbage("UTF-16", request().decode().encode("utf-16-le") + b"\r\n\r\n" + SMUGGLED)
    garbage("PROXY-line", b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n" + SMUGGLED)
    garbage("PROXY-binary", b"\r\n\r\n\0\r\nQUIT\n!\x11\0\x0c" + b"\x7f\0\0\1" * 2 + b"\0\1\0\2"
            + SMUGGLED)
    garbage("field-first", HOST + b"GET /x HTTP/1.1\r\n\r\n" + SMUGGLED)
    garbage("a-word", b"hello\r\n\r\n" + SMUGGLED)
    garbage("FTP", b"USER anonymous\r\nPASS x\r\n\r\n" + SMUGGLED)
    garbage("websocket-frame", b"\x81\x85abcd\x09\x07\x0f\x08\x0e\r\n\r\n" + SMUGGLED)
    garbage("a-line-without-end", b"A" * 200000)
    garbage("a-request-line-alone", b"GET /x HTTP/1.1\r\n", clause="9112 8")
    garbage("nothing", b"\r\n", check=not_served, clause="9112 2.2")
    preface = (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
    garbage("HTTP/2-preface", preface, check=speaks_2_or_refuses, clause="RFC 9113 3.4; " + GRAMMAR)
    PROBES[-1].any_protocol = True


def speaks_2_or_refuses(outcome):
    if outcome.raw[3:5] == b"\4\0":
        return None  # a SETTINGS frame
    return sound(outcome) or reject(mute=True)(outcome)


for define in (define_request_line, define_targets, define_hosts, define_fields, define_lengths,
               define_codings, define_smuggling, define_chunks, define_trailers,
               define_connections, define_semantics, define_garbage):
    define()
