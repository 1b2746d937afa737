"""How much of the quota `harvester run` uses, and what is refused, by the sandbox and by real limiters."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from harvester.model import Quota
from tests.bench.child import run
from tests.bench.contenders import ENVIRON
from tests.bench.machine import DEBIAN
from tests.bench.result import Found
from tests.bench.servers import Missing, Seen, haproxy_limiting, nginx_limiting, sandbox, seen_by

DOCUMENTED = Quota(100, 10.0)
TENFOLD = Quota(1000, 10.0)
_AT_ONCE = {DOCUMENTED: 20, TENFOLD: 4}
"""How many runs share the machine: they sleep most of the time, but lateness would spoil the figures."""
_CLIENTS = '[[clients]]\nclient_id = "{}"\nclient_secret = "sandbox"\n'


@dataclass(frozen=True)
class Case:
    """One run against one limiter."""

    limiter: str
    latency: str
    quota: Quota
    serve: Callable[[], AbstractContextManager[str]]
    options: tuple[str, ...] = ()
    clients: int = 1
    real: float | None = None
    """What the tenant permits in requests a second and client, where that isn't the configured quota."""
    grace: float = 0.3
    """How long after a 429 requests that were under way may still arrive; None of the real limiters tells."""

    @property
    def per_second(self) -> float:
        """Requests that all clients together may send in a second."""
        return self.clients * (self.quota.per_second if self.real is None else self.real)


@dataclass(frozen=True)
class Figure:
    """What came of a case."""

    share: float
    requests: int
    refused: int
    in_pauses: int | None


def cases(quota: Quota, seconds: float) -> Iterator[Case]:
    """Every algorithm and real limiter at `quota`."""
    accounts = str(round(quota.per_second * seconds * 2.2))
    base = ("--accounts", accounts, "--quota", str(quota))
    for algorithm in ("fixed", "sliding", "token", "leaky"):
        for latency, spread in (("5ms", "0s"), ("200ms", "100ms"), ("2s", "500ms")):
            options = (*base, "--algorithm", algorithm, "--latency", latency, "--jitter", spread)
            shown = latency if spread == "0s" else f"{latency} ± {spread}"
            grace = {"5ms": 0.3, "200ms": 0.6, "2s": 3.0}[latency]
            yield Case(f"sandbox, {algorithm}", shown, quota, partial(sandbox, options), grace=grace)
    yield Case("nginx limit_req, burst 5", "0", quota, partial(nginx_limiting, quota))
    yield Case("HAProxy http_req_rate", "0", quota, partial(haproxy_limiting, quota))


def hard_cases(seconds: float) -> Iterator[Case]:
    """The real limit is lower, unknown, or two clients share the list."""
    accounts = ("--accounts", str(round(10 * seconds * 4)))
    for algorithm in ("fixed", "sliding", "token", "leaky"):
        options = (*accounts, "--quota", "60/10s", "--algorithm", algorithm, "--latency", "50ms")
        yield Case(
            f"sandbox, {algorithm}: real limit 60/10s",
            "50ms",
            DOCUMENTED,
            partial(sandbox, options),
            real=6.0,
        )
    lower = Quota(60, 10.0)
    yield Case(
        "nginx limit_req: real limit 60/10s", "0", DOCUMENTED, partial(nginx_limiting, lower), real=6.0
    )
    yield Case("HAProxy: real limit 60/10s", "0", DOCUMENTED, partial(haproxy_limiting, lower), real=6.0)
    options = (*accounts, "--quota", "100/10s", "--algorithm", "sliding", "--latency", "50ms")
    yield Case("sandbox, sliding: two clients", "50ms", DOCUMENTED, partial(sandbox, options), clients=2)


def measure(case: Case, seconds: float) -> Figure:
    """Run one case for about `seconds`."""
    with case.serve() as url, tempfile.TemporaryDirectory(prefix="bench-") as name:
        home = Path(name)
        ids = home / "ids.txt"
        ids.write_text("\n".join(_ids(case, url, round(case.per_second * seconds))) + "\n")
        environ = {**ENVIRON, "SAIL_BASE_URL": url}
        argv = [sys.executable, "-m", "harvester", "run", str(ids), "-o", str(home / "out.ndjson")]
        run(
            [*argv, "--quota", str(case.quota), *write_clients(case.clients, home), *case.options],
            environ=environ,
        )
        summary = json.loads((home / "out.ndjson.summary.json").read_text())
        seen = seen_by(url, case.grace) if case.limiter.startswith("sandbox") else None
    return _figure(case, summary, seen)


def _ids(case: Case, url: str, count: int) -> Sequence[str]:
    if not case.limiter.startswith("sandbox"):
        return [f"{number:032x}" for number in range(count)]
    with urlopen(f"{url}/_sandbox/ids.txt") as answer:
        return str(answer.read(), "ascii").split()[:count]


def write_clients(count: int, home: Path) -> Sequence[str]:
    """The option for so many clients, and the file that it names; nothing for one."""
    if count == 1:
        return ()
    file = home / "clients.toml"
    file.touch(mode=0o600)
    file.write_text("".join(_CLIENTS.format(f"bench-{number}") for number in range(count)))
    return ("--clients", str(file))


def _figure(case: Case, summary: dict[str, Any], seen: Seen | None) -> Figure:
    """The share is of what was permitted from the first request's arrival to the last one's.

    Where nobody noted the arrivals, the answers stand in for them: the real limiters answer at once.
    """
    requests, refused = summary["requests"], summary["throttled"]
    granted = requests - refused - 1  # so many intervals have as many requests and one more
    if seen is None:
        share = summary["grantedPerSecond"] / case.per_second * granted / (granted + 1)
        return Figure(share, requests, refused, None)
    return Figure(granted / (case.per_second * seen.seconds), requests, refused, seen.in_pauses)


def quota(seconds: float) -> Found:
    """The known quota, to be used up without refusals; and the cases where it is not what was said."""
    columns = ("quota", "limiter", "latency", "share used", "requests", "429", "429 share", "in a pause")
    found = Found(f"The quota, {seconds:.0f} s a run", columns)
    for one in (DOCUMENTED, TENFOLD):
        _measure_all(list(cases(one, seconds)), seconds, _AT_ONCE[one], found)
    _measure_all(list(hard_cases(seconds)), 3 * seconds, _AT_ONCE[DOCUMENTED], found)
    found.notes.append(
        "To reach: 99 % and at most 0.1 % answers 429 where the quota is as configured; 85 % where the real "
        f"limit is lower (runs of {3 * seconds:.0f} s, the finding of the limit included); 0 requests in a "
        "pause that the tenant has asked for, but those under way."
    )
    return found


def _measure_all(some: list[Case], seconds: float, at_once: int, found: Found) -> None:
    with ThreadPoolExecutor(at_once) as pool:
        results: Iterable[Figure | Missing] = pool.map(lambda case: _try(case, seconds), some)
        for case, figure in zip(some, results, strict=True):
            if isinstance(figure, Missing):
                found.notes.append(f"left out: {case.limiter}; `apt-get install -y {DEBIAN[str(figure)]}`")
            else:
                _add(found, case, figure)


def _try(case: Case, seconds: float) -> Figure | Missing:
    try:
        return measure(case, seconds)
    except Missing as missing:
        return missing


def _add(found: Found, case: Case, figure: Figure) -> None:
    refused = f"{figure.refused / figure.requests:.2%}"
    in_pauses = "" if figure.in_pauses is None else str(figure.in_pauses)
    found.rows.append([
        str(case.quota), case.limiter, case.latency, f"{figure.share:.1%}", f"{figure.requests:,}",
        str(figure.refused), refused, in_pauses,
    ])  # fmt: skip
    found.data[f"{case.quota} {case.limiter} {case.latency}"] = {
        "share": figure.share, "requests": figure.requests, "refused": figure.refused,
        "inPauses": figure.in_pauses,
    }  # fmt: skip
