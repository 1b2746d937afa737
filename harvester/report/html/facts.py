"""What the page says beside its charts: headline, tiles, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from harvester.report.figures import percent, plural, rate, size, span
from harvester.report.html.drawing import Table
from harvester.report.months import Unused, named, unused_for
from harvester.report.reasons import meaning

_SPANS = (3, 6, 12)
"""Months without use that people ask for."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure in large type. `marked` draws the eye to it."""

    label: str
    number: str
    remark: str = ""
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Titled:
    """A table with its title."""

    title: str
    table: Table


@dataclass(frozen=True, slots=True)
class Page:
    """All texts of the page, ready to be read; the template escapes them."""

    title: str
    when: str
    mood: str
    headline: str
    advice: str
    data_tiles: Sequence[Tile]
    data_note: str
    run_tiles: Sequence[Tile]
    tables: Sequence[Titled]
    run_id: str
    version: str


def page_of(summary: Mapping[str, Any]) -> Page:
    """What is to be said of a run, from its summary."""
    activity = summary.get("activity")
    if activity is None or not activity["accounts"]:
        activity = None
    stop = summary["stop"]
    return Page(
        title=f"Account usage of {summary['tenant']}",
        when=_when(summary),
        mood="good" if summary["status"] == 0 else "part" if summary["status"] == 3 else "bad",  # noqa: PLR2004  # some failed
        headline=_headline(summary),
        advice=_sentence(stop["mend"]) if stop else _advice(summary),
        data_tiles=() if activity is None else _data_tiles(activity),
        data_note="" if activity is None else _data_note(summary, activity),
        run_tiles=_run_tiles(summary),
        tables=[*_failures(summary), *_clients(summary), *_outputs(summary)],
        run_id=summary["runId"],
        version=summary["version"],
    )


def _when(summary: Mapping[str, Any]) -> str:
    start, end = (datetime.fromisoformat(summary[name]) for name in ("start", "end"))
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%-d %B %Y, %H:%M}"
    shard = f", shard {summary['shard']}" if summary["shard"] else ""
    return f"Harvested {start:%-d %B %Y, %H:%M} to {until} UTC, API {summary['apiVersion']}{shard}"


def _headline(summary: Mapping[str, Any]) -> str:
    counts, stop, took = summary["counts"], summary["stop"], span(summary["seconds"])
    if stop:
        left = plural(counts["notAttempted"], "account")
        return f"Stopped after {took}: {stop['problem']}. {left} not asked for yet."
    if counts["failed"]:
        failed = plural(counts["failed"], "account")
        return f"Finished in {took}, but {failed} of {counts['distinct']:,} failed."
    return f"All {plural(counts['distinct'], 'account')} harvested in {took}."


def _advice(summary: Mapping[str, Any]) -> str:
    if not summary["counts"]["failed"]:
        return ""
    return "Give the failures file as the list of another run to try those again."


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _data_tiles(activity: Mapping[str, Any]) -> list[Tile]:
    accounts = activity["accounts"]
    unused = [_unused_tile(unused_for(activity, months), accounts) for months in _SPANS]
    days = sum(group["days"] for group in activity["months"].values())
    active = accounts - activity["inactive"]
    each = f"{days / active:.0f} for each active account" if active else ""
    return [
        *unused,
        Tile("accounts answered", f"{accounts:,}", f"{active:,} of them with activity"),
        Tile("active days", f"{days:,}", each),
    ]


def _unused_tile(unused: Unused, accounts: int) -> Tile:
    label = f"unused for {unused.months} months"
    if unused.accounts is None:
        return Tile(label, "–", f"not known: nothing before {named(unused.since)} was asked for in full")
    share = percent(unused.accounts / accounts)
    return Tile(
        label, f"{unused.accounts:,}", f"{share}, no active day since {named(unused.since)}", marked=True
    )


def _data_note(summary: Mapping[str, Any], activity: Mapping[str, Any]) -> str:
    notes = []
    if activity.get("since"):
        notes.append(f"Only usage since {named(activity['since'])} was asked for.")
    missing = summary["counts"]["failed"] + summary["counts"]["notAttempted"]
    if missing:
        notes.append(
            f"{plural(missing, 'account')} that failed or were not asked for are in none of these figures."
        )
    if activity["unreadable"]:
        notes.append(f"{plural(activity['unreadable'], 'row')} without a date or a count are left out.")
    return " ".join(notes)


def _run_tiles(summary: Mapping[str, Any]) -> list[Tile]:
    counts, share = summary["counts"], summary["quotaShare"]
    tiles = [
        Tile("accounts with rows", f"{counts['harvested']:,}", f"{counts['empty']:,} answered without a row"),
        Tile("accounts failed", f"{counts['failed']:,}", "", marked=counts["failed"] > 0),
        Tile("rows", f"{summary['rows']:,}", f"{size(summary['bytesWritten'])} written"),
        Tile("requests", f"{summary['requests']:,}", f"{plural(summary['retries'], 'fault')} tried again"),
    ]
    if counts["notAttempted"]:
        tiles.append(
            Tile("not asked for", f"{counts['notAttempted']:,}", "the same command goes on", marked=True)
        )
    if counts["finishedEarlier"]:
        tiles.append(
            Tile("finished earlier", f"{counts['finishedEarlier']:,}", "by the run this one went on from")
        )
    if share is not None:
        tiles.append(Tile("of the quota used", percent(min(share, 1.0)), _quota(summary)))
    if summary["outages"]:
        away = f"tenant away for {span(summary['secondsAway'])}"
        tiles.append(Tile("outages" if summary["outages"] > 1 else "outage", f"{summary['outages']:,}", away))
    if counts["repeated"]:
        tiles.append(Tile("repeated IDs", f"{counts['repeated']:,}", "harvested once"))
    return tiles


def _quota(summary: Mapping[str, Any]) -> str:
    clients = len(summary["clients"])
    return f"{summary['quota']}" + (f" for each of {clients} clients" if clients > 1 else "")


def _failures(summary: Mapping[str, Any]) -> list[Titled]:
    groups = sorted(summary["failuresByReason"].items(), key=lambda item: -item[1]["count"])
    rows = [
        (
            f"{group['count']:,}",
            meaning(reason).words,
            group["accountId"],
            group["detail"],
            meaning(reason).mend,
        )
        for reason, group in groups
    ]
    heads = ("accounts", "because", "for example", "which said", "what to do")
    return [Titled("Failed accounts, and what to do", Table(heads, rows))] if rows else []


def _clients(summary: Mapping[str, Any]) -> list[Titled]:
    clients = summary["clients"]
    if len(clients) < 2:  # noqa: PLR2004  # of one, the page has said it all
        return []
    rows = [
        (
            name,
            f"{one['requests']:,}",
            f"{one['throttled']:,}",
            span(one["secondsPaused"]) if one["secondsPaused"] else "–",
            "dropped: its credentials were refused" if one["dropped"] else _adapted(one["requestsPerSecond"]),
        )
        for name, one in clients.items()
    ]
    return [Titled("Clients", Table(("client", "requests", "answers 429", "paused", "pace"), rows))]


def _adapted(per_second: float | None) -> str:
    return "as configured" if per_second is None else f"adapted to {rate(per_second)}"


def _outputs(summary: Mapping[str, Any]) -> list[Titled]:
    rows = [
        (one["name"], f"{one['rows']:,}", f"{one['accounts']:,}", size(one["bytes"]), one["sha256"])
        for one in summary["outputs"][:_MOST_OUTPUTS]
    ]
    more = len(summary["outputs"]) - len(rows)
    title = (
        f"Files written (the first {len(rows)}, {more:,} more are in the summary)"
        if more
        else "Files written"
    )
    return [Titled(title, Table(("file", "rows", "accounts", "size", "SHA-256"), rows))] if rows else []


_MOST_OUTPUTS = 50
