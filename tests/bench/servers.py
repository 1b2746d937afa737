"""The servers that are measured against: nginx with a fixed body, real limiters, the sandbox."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from harvester.model import Quota
from tests.bench.machine import program

ROWS = json.dumps(
    [{"date": f"{2026 - (month > 11)}-{(11 - month) % 12 + 1:02}-01", "count": 17} for month in range(12)],
    separators=(",", ":"),
)
"""Twelve months, newest first: what an account usually has."""
TOKEN = json.dumps({"access_token": "x", "token_type": "bearer", "expires_in": 86400}, separators=(",", ":"))

_NGINX = """
daemon off; pid nginx.pid; error_log error.log crit; worker_processes 1;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  {zone}
  server {{
    listen 127.0.0.1:{port} backlog=1024; root {home};
    default_type application/json;
    location = /oauth/token {{ return 200 '{token}'; }}
    location / {{ {answer} }}
  }}
}}
"""
_HAPROXY = """
global
  maxconn 600
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend tenant
  bind 127.0.0.1:{port}
  http-request return status 200 content-type application/json string "{token}" if {{ path /oauth/token }}
  stick-table type ip size 1k expire 60s store http_req_rate({seconds:g}s)
  http-request track-sc0 src
  http-request return status 429 hdr Retry-After 1 if {{ sc_http_req_rate(0) gt {requests} }}
  http-request return status 200 content-type application/json string "{rows}"
"""


class Missing(Exception):
    """A server that isn't installed."""


@contextmanager
def fixed() -> Iterator[str]:
    """The URL of an nginx that answers every account with the same twelve rows, as fast as it can."""
    with _nginx(zone="", answer=f"return 200 '{ROWS}';") as url:
        yield url


@contextmanager
def nginx_limiting(quota: Quota, burst: int = 5) -> Iterator[str]:
    """An nginx with `limit_req`: a leaky bucket of `burst` requests, 429 without a Retry-After beyond."""
    rate = round(quota.per_second)
    zone = f"limit_req_zone $binary_remote_addr zone=quota:1m rate={rate}r/s; limit_req_status 429;"
    # `return` would answer before the limit is looked at; a file is served after it.
    with _nginx(
        zone=zone, answer=f"limit_req zone=quota burst={burst} nodelay; try_files /body.json =404;"
    ) as url:
        yield url


@contextmanager
def haproxy_limiting(quota: Quota) -> Iterator[str]:
    """A HAProxy whose stick table counts `http_req_rate` over the quota's period."""
    quoted = {"token": TOKEN.replace('"', '\\"'), "rows": ROWS.replace('"', '\\"')}
    with _home() as home:
        port = free_port()
        config = home / "haproxy.cfg"
        config.write_text(
            _HAPROXY.format(port=port, seconds=quota.seconds, requests=quota.requests, **quoted)
        )
        with _serving([_path("haproxy"), "-f", str(config)], port):
            yield f"http://127.0.0.1:{port}"


@contextmanager
def sandbox(options: Sequence[str]) -> Iterator[str]:
    """A sandbox process."""
    argv = [sys.executable, "-m", "harvester", "sandbox", *options]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline().strip()
            yield line[line.index("http://") :].split()[0]
        finally:
            process.terminate()


@dataclass(frozen=True)
class Seen:
    """What a sandbox has seen of a run."""

    seconds: float
    """From the first request's arrival to the last one's."""
    in_pauses: int
    """Requests that came in a pause it had asked for, but for those that were under way already."""


def seen_by(url: str, grace: float) -> Seen:
    """Ask a sandbox. What comes in the first `grace` seconds of a pause was under way."""
    with urlopen(f"{url}/_sandbox/tally?moments=1") as answer:
        tally = json.load(answer)
    arrivals = [moment for lane in tally["lanes"].values() for moment in lane]
    return Seen(max(arrivals) - min(arrivals), sum(1 for seconds in tally["early"] if seconds > grace))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        home = Path(name)
        home.chmod(0o755)  # nginx serves it as another user
        (home / "body.json").write_text(ROWS)
        yield home


@contextmanager
def _nginx(*, zone: str, answer: str) -> Iterator[str]:
    with _home() as home:
        port = free_port()
        config = home / "nginx.conf"
        config.write_text(_NGINX.format(home=home, port=port, zone=zone, answer=answer, token=TOKEN))
        argv = [_path("nginx"), "-p", str(home), "-e", "error.log", "-c", str(config)]
        with _serving(argv, port):
            yield f"http://127.0.0.1:{port}"


def _path(name: str) -> str:
    path = program(name)
    if path is None:
        raise Missing(name)
    return path


@contextmanager
def _serving(argv: list[str], port: int) -> Iterator[None]:
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _await(argv, port)
            yield
        finally:
            server.terminate()


def _await(argv: list[str], port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{argv[0]} does not listen on 127.0.0.1:{port}: try {' '.join(argv)} by hand")
