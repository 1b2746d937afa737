"""How much of a quota the throttle uses against real limiters: nginx `limit_req`, HAProxy `http_req_rate`.

Run as ``python -m tests.bench.quota_realtime --seconds 60``; it starts the servers itself, says
what it left out because a program isn't installed, and prints a table; ``--json FILE`` writes the
same. In the last row of each limiter the real limit is 60 % of the configured one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import uvloop

from harvester.events import Event
from harvester.model import Quota
from harvester.tenant.quota import InFlightLimit, Throttle, parse_retry_after

NGINX = """
daemon off; pid {home}/nginx.pid; error_log {home}/error.log crit; worker_processes 1;
events {{ worker_connections 512; }}
http {{
  access_log off; keepalive_requests 1000000;
  client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3;
  uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;
  limit_req_zone $binary_remote_addr zone=quota:1m rate={rate}r/s;
  limit_req_status 429;
  server {{
    listen 127.0.0.1:{port}; root {home};
    location / {{ limit_req zone=quota burst={burst} nodelay; try_files /body.json =404; }}
  }}
}}
"""
HAPROXY = """
global
  maxconn 600
defaults
  mode http
  timeout client 30s
  timeout server 30s
  timeout connect 5s
frontend tenant
  bind 127.0.0.1:{port}
  stick-table type ip size 1k expire 60s store http_req_rate({seconds:g}s)
  http-request track-sc0 src
  http-request return status 429 hdr Retry-After 1 if {{ sc_http_req_rate(0) gt {requests} }}
  http-request return status 200 content-type application/json string "[]"
"""

CASES = (
    (Quota(100, 10.0), Quota(100, 10.0)),
    (Quota(1000, 10.0), Quota(1000, 10.0)),
    (Quota(100, 10.0), Quota(60, 10.0)),
)
"""What the client is told, and what the server enforces."""


@dataclass(frozen=True)
class Figure:
    """What one run against one limiter came to."""

    limiter: str
    quota: str
    real: str
    """The limit that the server enforces."""
    seconds: float
    let_through: int
    refused: int
    share: float
    """Of what the server would have let through, over the whole run from its start."""
    events: int
    """Pauses and changes of the rate."""


@contextmanager
def serving(argv: list[str], port: int) -> Iterator[None]:
    """The server run by `argv`, from when it listens until the block is left."""
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(100):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            else:
                sys.exit(
                    f"{argv[0]} does not listen on 127.0.0.1:{port}: try its configuration {argv[-1]} by hand"
                )
            yield
        finally:
            server.terminate()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def drive(limiter: str, quota: Quota, real: Quota, url: str, seconds: float) -> Figure:
    """Send as much as the throttle permits for `seconds`."""
    events: list[Event] = []
    loop = asyncio.get_running_loop()
    throttle = Throttle(
        quota, burst=None, max_retry_after=60.0, client=limiter, observer=events.append,
        clock=loop.time, sleep=asyncio.sleep, rng=random.Random(1),
    )  # fmt: skip  # as in harvester.tenant.client, side by side
    in_flight = InFlightLimit(None, unlimited=False)
    room = asyncio.Semaphore(in_flight.now(quota.per_second, 0.0))
    counts = {200: 0, 429: 0}

    async def send(session: aiohttp.ClientSession, sent_at: float) -> None:
        async with session.get(url) as answer:
            await answer.read()
        counts[answer.status] += 1
        if answer.status == 429:
            header = answer.headers.get("Retry-After")
            throttle.rejected(
                sent_at, parse_retry_after(header, answer.headers.get("Date"), datetime.now(UTC))
            )
        else:
            throttle.accepted(sent_at)
        room.release()

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
        end = loop.time() + seconds
        while True:
            await room.acquire()
            sent_at = await throttle.permit()
            if sent_at >= end:
                break
            tasks.create_task(send(session, sent_at))
    share = counts[200] / (real.per_second * seconds)
    return Figure(limiter, str(quota), str(real), seconds, counts[200], counts[429], share, len(events))


def measure(limiter: str, quota: Quota, real: Quota, seconds: float) -> Figure | None:
    """Start the limiter, drive it, stop it; None when it isn't installed."""
    program = shutil.which(limiter, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        return None
    with tempfile.TemporaryDirectory(prefix="quota-") as home:
        Path(home, "body.json").write_text("[]")
        Path(home).chmod(0o755)  # nginx serves it as another user
        port = free_port()
        template = NGINX if limiter == "nginx" else HAPROXY
        config = Path(home, f"{limiter}.conf")
        config.write_text(
            template.format(
                home=home,
                port=port,
                rate=round(real.per_second),
                burst=5,
                requests=real.requests,
                seconds=real.seconds,
            )
        )
        argv = [program, "-c" if limiter == "nginx" else "-f", str(config)]
        with serving(argv, port):
            return uvloop.run(drive(limiter, quota, real, f"http://127.0.0.1:{port}/", seconds))


def main() -> None:
    """Measure each limiter at each quota and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    figures = []
    line = "{:8} {:>10} {:>10} {:>11} {:>5} {:>7} {:>15}".format
    print(line("limiter", "configured", "real limit", "let through", "429", "share", "pauses, changes"))  # noqa: T201  # the table
    for limiter in ("nginx", "haproxy"):
        for quota, real in CASES:
            figure = measure(limiter, quota, real, asked.seconds)
            if figure is None:
                print(f"{limiter:8} left out: not installed (Debian package {limiter})")  # noqa: T201  # the table
                break
            figures.append(figure)
            _, _, _, _, through, refused, share, events = astuple(figure)
            print(  # noqa: T201  # the table
                line(limiter, str(quota), str(real), through, refused, f"{share:.2%}", events), flush=True
            )
    if asked.json:
        asked.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")


if __name__ == "__main__":
    main()
