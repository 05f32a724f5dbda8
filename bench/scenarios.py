"""What servers are measured at, each a row of SCENARIOS, by its letter."""

import dataclasses
from typing import Callable

import broadcast
import bulk
import client
import load
from setting import FILES

# What a browser sends: with the request line and Host some 630 bytes.
BROWSER = (
    "Cache-Control: max-age=0\r\n"
    'sec-ch-ua: "Chromium";v="126", "Not.A/Brand";v="24"\r\n'
    "sec-ch-ua-mobile: ?0\r\n"
    'sec-ch-ua-platform: "Linux"\r\n'
    "Upgrade-Insecure-Requests: 1\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
    "*/*;q=0.8\r\n"
    "Sec-Fetch-Site: none\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-User: ?1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Accept-Language: en-GB,en;q=0.9,de;q=0.7\r\n"
    "Cookie: session=4f9a1c0be27d4f0f9d6e; theme=dark\r\n"
)
CLOSE = "Connection: close\r\n"


@dataclasses.dataclass(frozen=True)
class Column:
    key: str  # in a result
    heading: str
    form: str = "{:,.0f}"


PER_SECOND = Column("requests_per_second", "requests/s")
CPU = Column("cpu_us_per_request", "CPU us/request", "{:.2f}")
P99 = Column("latency_p99", "p99 us")
MB = Column("mb_per_second", "MB/s")
MB_CPU = Column("mb_per_cpu_second", "MB/CPU second")


@dataclasses.dataclass(frozen=True)
class Scenario:
    title: str
    measure: Callable  # (bench, server, scenario, seconds) -> a result
    rank: Column = CPU  # whose ratios are taken
    columns: tuple = (PER_SECOND, CPU, P99)
    app: str = "hello"  # what the server is: peers.py
    tls: bool = False
    connections: int = 64
    method: str = "GET"
    path: str = "/"
    fields: str = ""
    pipelined: int = 1
    size: int = 0  # of a body, where bytes count
    ideal: int = 0  # requests per second

    @property
    def close(self):
        return CLOSE in self.fields

    def request(self, port):
        return client.request_text(port, self.path, self.fields, self.method)


SCENARIOS = {
    "A": Scenario("keep-alive, 64 connections", load.by_wrk),
    "B": Scenario("keep-alive, 512 connections", load.by_wrk, connections=512),
    "C": Scenario("pipelined by 16, 64 connections", load.by_wrk, pipelined=16),
    "D": Scenario("connection per request, 64 at a time", load.by_wrk, fields=CLOSE),
    "E": Scenario("browser headers, 64 connections", load.by_wrk, fields=BROWSER),
    "F": Scenario("keep-alive, 10,000 connections", load.by_drive_and_at_64, connections=10000,
                  columns=(PER_SECOND, CPU, Column("cpu_us_at_64", "at 64", "{:.2f}"),
                           Column("of_64", "of that", "{:.3f}"))),
    "G": Scenario("TLS 1.3 keep-alive, 64 connections", load.by_wrk, tls=True),
    "H": Scenario("TLS 1.3 handshakes, 64 at a time", load.by_drive, tls=True, fields=CLOSE,
                  columns=(PER_SECOND, CPU)),
    "I": Scenario("10 ms sleep, 1,000 connections", load.by_drive, app="pause", connections=1000,
                  ideal=100000,
                  columns=(PER_SECOND, Column("of_ideal", "of the ideal", "{:.1%}"), CPU)),
    "J": Scenario("long-poll broadcast to 15,000", broadcast.measure, app="poll",
                  connections=15000, path="/?seen=",
                  rank=(MS := Column("milliseconds", "ms to the last", "{:.1f}")),
                  columns=(MS, Column("us_per_client", "us each", "{:.2f}"),
                           Column("cpu_us_per_client", "CPU us each", "{:.2f}"))),
    "K": Scenario("file of 64 KiB, 64 connections", load.by_wrk, app="files", path="/64k",
                  size=FILES["64k"], rank=MB_CPU, columns=(PER_SECOND, MB, MB_CPU)),
    "L": Scenario("file of 100 MiB, one connection", bulk.download, app="files", path="/100m",
                  size=FILES["100m"], rank=MB_CPU, columns=(MB, MB_CPU)),
    "M": Scenario("upload of 100 MiB, one connection", bulk.upload, app="count", method="PUT",
                  fields=f"Content-Length: {FILES['100m']}\r\n", size=FILES["100m"], rank=MB_CPU,
                  columns=(MB, MB_CPU)),
}
