"""Hidden limits on a gateway that shuts out whoever violates three windows of twelve, simulated."""

from __future__ import annotations

from tests.bench.result import Found, Spread
from tests.tenant.rate_limit.table import ALGORITHMS, CASES, LATENCIES, Case, measure

VERSION_1 = {
    "a quarter": "0.80, shut out once",
    "half": "0.78, shut out once",
    "nine tenths": "0.77, shut out once",
    "two runs": "0.74, shut out once",
}
"""What version 1 came to on such a gateway."""


def hidden(seeds: int, *, only: str = "") -> Found:
    """Each case with every way of counting, at four latencies, `seeds` runs each: hours, in a simulation."""
    found = Found(
        f"Hidden limits on a gateway that shuts out, quota 100/10s, {seeds} seeds",
        ("limit", "counted by", "runs", "shut out", "share used", "in the steady state", "429", "version 1"),
    )
    for case in CASES:
        for algorithm in ALGORITHMS:
            if only in f"{case.name} {algorithm}":
                _add(found, case, algorithm, seeds)
    found.notes.append(
        "Share of the limit over 1,500 to 4,000 accounts, the search included; then in the second half of "
        "the accounts. To reach: never shut out; 0.90; 0.95. The limiter itself, its clock and its gateway "
        "are those of the tests: `python -m tests.tenant.rate_limit.table`."
    )
    return found


def _add(found: Found, case: Case, algorithm: str, seeds: int) -> None:
    figures = [measure(case, algorithm, latency, seed) for latency in LATENCIES for seed in range(seeds)]
    share, steady = (Spread(tuple(getattr(one, name) for one in figures)) for name in ("share", "steady"))
    refused = Spread(tuple(one.refused for one in figures))
    shut_out = sum(one.shut_out for one in figures)
    found.rows.append([
        case.name, algorithm, str(len(figures)), str(shut_out), share.shown(), steady.shown(),
        f"{refused.middle:.2%}", VERSION_1.get(case.name, ""),
    ])  # fmt: skip  # one row of the table
    found.data[f"{case.name}, {algorithm}"] = {
        "shutOut": shut_out, "share": share.values, "steady": steady.values, "refused": refused.values,
    }  # fmt: skip  # as a record
