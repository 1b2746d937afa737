"""From settings to the parts of a run: where its files are, its ledger, its tenant, its output."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from harvester.errors import ResumeRefused, SettingError, UsageError
from harvester.event_loop import FILES, descriptor_limit
from harvester.events import Observer, RunStarted, Warned
from harvester.export.output import OutputSpec
from harvester.files import descriptor_of, distinct_paths, partial, resolve, try_out
from harvester.ledger import Ledger, LedgerPaths, ledger_paths
from harvester.ledger.copies import sidecars
from harvester.model import Quota
from harvester.page.page import list_beside, require_drawing
from harvester.settings.settings import Settings
from harvester.tenant.client import Tenant, distinctly_named, lane_label, shared_quota
from harvester.tenant.rate_limit.concurrency import MOST, UNLIMITED
from harvester.tenant.usages import UsageQuery
from harvester.version import VERSION

_FLAGS: Final = {
    "base_url": "--base-url",
    "since": "--since",
    "sorters": "--sorters",
    "shard": "--shard",
    "count": "--count",
    "skip_unreported": "--skip-unreported",
}
"""The settings that decide which data a harvest requests. All others may change when it is resumed."""

_WHAT: Final = {
    "--failures": "the failures file",
    "--summary": "the summary",
    "--report": "the report",
    "--metrics": "the metrics file",
}
"""What the options that name a file are for, in messages."""

_PARTS: Final = ("part-", "_", ".part-", "._")
"""How the names of what an output in a directory consists of begin."""

_SPARE: Final = ("v2025", "v2024", "v2026", "v3")
"""Versions for what is not a harvest's own business, the one that most tenants serve first."""


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The files of a run that exist apart from the output's own, resolved; None where there is none.

    `ledger` is None where it is temporary. `inside` says that failures and summary belong into the
    directory or prefix that the output is.
    """

    ledger: LedgerPaths | None
    failures: Path | None
    summary: Path | None
    report: Path | None
    metrics: Path | None
    inside: bool


def ledger_paths_of(settings: Settings) -> LedgerPaths | None:
    """Where the ledger of a harvest with these settings is; None where it is temporary."""
    return ledger_paths(
        settings.output,
        ledger=settings.ledger,
        base_url=settings.base_url,
        environ=os.environ,
        remote=settings.destination.remote,
    )


def run_files(settings: Settings, spec: OutputSpec) -> RunFiles:
    """All files that a run writes, each tried before the first request.

    Raises:
        SettingError: two of them are the same file, or one is an input.
        OutputError: one cannot be written.
    """
    ledger = ledger_paths_of(settings)
    files = RunFiles(
        ledger=ledger,
        failures=settings.failures or _beside(settings, spec, "failures.ndjson"),
        summary=settings.summary or _beside(settings, spec, "summary.json"),
        report=settings.report,
        metrics=settings.metrics,
        inside=spec.parted,
    )
    named = {
        "--failures": files.failures,
        "--summary": files.summary,
        "--report": files.report,
        "--metrics": files.metrics,
    }
    if files.report is not None:
        require_drawing("report")
        named["the list of accounts next to --report"] = list_beside(files.report)
    mine = {name: path for name, path in named.items() if path is not None}
    own: dict[str, Path] = {}
    if ledger is not None:
        own = {"the ledger": ledger.finished, "the unfinished ledger": ledger.partial}
    same = spec.where.format == "sqlite" and resolve(Path(settings.output)) == own.get("the ledger")
    if spec.kind not in ("store", "table") and not same:
        own = {"--output": Path(settings.output), **own}
    inputs = [Path(name) for name in settings.inputs if name != "-"]
    resolved = distinct_paths({**own, **mine, **_on_the_way({**own, **mine}, ledger)}, inputs)
    if spec.kind == "directory":
        _refuse_inside(Path(settings.output), mine, inputs)
    for name, path in mine.items():
        try_out(path, settings.file_mode, what=_WHAT.get(name, name))
    if ledger is not None:
        ledger.prepare()
    return replace(files, failures=resolved.get("--failures"), summary=resolved.get("--summary"))


def _on_the_way(named: Mapping[str, Path], ledger: LedgerPaths | None) -> dict[str, Path]:
    """The files under which those of a run are written before they get their names."""
    found = {
        f"what {name} is written as": partial(resolve(path))
        for name, path in named.items()
        if descriptor_of(path) is None
    }
    for name in ("the ledger", "the unfinished ledger"):
        found.pop(f"what {name} is written as", None)
    if ledger is not None:
        if ledger.copy not in found.values():
            found["what the ledger is written as"] = ledger.copy
        own = [*sidecars(ledger.partial), *sidecars(ledger.copy)]
        found |= {f"SQLite's own {path.name}": path for path in own}
    return found


def _refuse_inside(directory: Path, mine: Mapping[str, Path], inputs: Iterable[Path]) -> None:
    """Refuse a file in the directory of the output that a later output there would replace or remove."""
    inside = resolve(directory)
    usual = {"--failures": "_failures.ndjson", "--summary": "_summary.json"}
    for name, path in (*mine.items(), *(("the input", path) for path in inputs)):
        target = resolve(path)
        if (
            target.is_relative_to(inside)
            and target.name.startswith(_PARTS)
            and usual.get(name) != target.name
        ):
            raise SettingError(
                name, f"{path} has a name that the output in {directory}/ uses", "name another"
            )


def _beside(settings: Settings, spec: OutputSpec, what: str) -> Path | None:
    """Where a file goes that is written next to DEST; None where DEST has no such place."""
    return Path(f"{settings.output}.{what}") if spec.kind == "file" else None


def data_facts(settings: Settings) -> dict[str, Any]:
    """What a ledger records of the settings that decide which data is requested."""
    shard = settings.shard
    return {
        "base_url": settings.base_url,
        "since": settings.since,
        "sorters": settings.sorters,
        "shard": None if shard is None else str(shard),
        "count": settings.count,
        "skip_unreported": settings.skip_unreported,
    }


async def open_ledger(settings: Settings, paths: LedgerPaths | None) -> tuple[Ledger, bool]:
    """The ledger of this run, and whether it goes on with a harvest that was begun before.

    Raises:
        UsageError: `--retry-failed`, and there is no finished harvest, or an unfinished one.
        ResumeRefused: the harvest that is there requests other data.
    """
    facts = data_facts(settings)
    if paths is None:
        if settings.retry_failed:
            raise UsageError("stdout has no finished harvest to retry", "name its ledger with --ledger")
        ledger = await Ledger.temporary()
        await ledger.save_facts(facts)
        return ledger, False
    if settings.retry_failed:
        ledger = await _open_for_retry(settings, paths)
    else:
        if settings.fresh:
            await Ledger.discard(paths.partial)
        if not await asyncio.to_thread(Ledger.begun, paths.partial):
            facts["keep"] = list(settings.keep)
            return await Ledger.create(paths.partial, mode=settings.file_mode, facts=facts), False
        ledger = await Ledger.open(paths.partial)
    try:
        await _refuse_other_data(ledger, facts)
    except BaseException:
        await (ledger.remove() if settings.retry_failed else ledger.close())
        raise
    return ledger, True


async def _open_for_retry(settings: Settings, paths: LedgerPaths) -> Ledger:
    if await asyncio.to_thread(Ledger.begun, paths.partial):
        problem = f"{paths.partial}: the harvest is unfinished"
        raise UsageError(problem, "finish it first: run the same command without --retry-failed")
    if not paths.finished.exists():
        problem = f"{paths.finished}: there is no finished harvest whose failures could be retried"
        raise UsageError(problem, "run the same command without --retry-failed")
    return await Ledger.retry(paths.finished, paths.partial, copy=paths.copy, mode=settings.file_mode)


async def _refuse_other_data(ledger: Ledger, facts: Mapping[str, Any]) -> None:
    for key, now in facts.items():
        before = await ledger.fact(key)
        if before != now:
            raise ResumeRefused(
                f"{ledger.path}: the unfinished harvest was begun with {_FLAGS[key]} {_shown(before)}, "
                f"and this run has {_shown(now)}",
                "use the same, or start again with --fresh",
            )


def _shown(value: object) -> str:
    if value is None:
        return "not given"
    return {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def open_tenant(
    settings: Settings,
    *,
    observer: Observer,
    memory: Mapping[str, Any],
    versions: tuple[str, ...] | None = None,
    spare: bool = False,
) -> Tenant:
    """The tenant, to be made inside the running loop. `memory` is what an earlier run knew of the lanes.

    With `spare`, it also has lanes on a version that no account is requested through, if there is one.
    """
    versions = versions or settings.api_version
    return Tenant(
        settings.base_url,
        settings.clients,
        api_versions=versions,
        timeout=settings.timeout,
        ca_bundle=settings.ca_bundle,
        max_body_bytes=settings.max_body_bytes,
        quota=settings.quota,
        burst=settings.burst,
        max_outage=settings.max_outage,
        concurrency=_concurrency(settings, len(settings.clients) * len(versions), observer),
        observer=observer,
        clock=asyncio.get_running_loop().time,
        rng=new_rng(),
        memory=memory,
        share=settings.quota_shard,
        spare_version=_spare_version(settings) if spare else None,
    )


def _concurrency(settings: Settings, lanes: int, observer: Observer) -> int | None:
    """How many requests each lane may have in flight: as set, but each takes a file descriptor."""
    wanted = settings.concurrency or (UNLIMITED if settings.quota is None else MOST)
    limit = descriptor_limit(wanted * lanes + FILES)
    most = max(1, (limit - FILES) // lanes)
    if most >= wanted:
        return settings.concurrency
    if settings.concurrency is not None or most < UNLIMITED:
        each = " on each lane" if lanes > 1 else ""
        problem = f"this process may only have {limit} files open, so at most {most} requests are in flight"
        observer(Warned("few_descriptors", problem + each, "raise the limit (ulimit -n)"))
    return most


def _spare_version(settings: Settings) -> str | None:
    return next((version for version in _SPARE if version not in settings.api_version), None)


def new_rng() -> random.Random:
    """Randomness for jitter."""
    return random.Random()  # noqa: S311  # nothing here is a secret


def engine_options(settings: Settings) -> dict[str, Any]:
    """What `engine.Engine` takes of the settings."""
    return {
        "attempts": settings.attempts,
        "max_failures": settings.max_failures,
        "max_outage": settings.max_outage,
        "stop_grace": settings.stop_grace,
        "query": UsageQuery(settings.page_size, settings.sorters, settings.since, settings.count),
    }


def check_inputs(settings: Settings, given: bool) -> None:
    """Raise SettingError where IDs are `given` to the library and named by the settings, too."""
    if given and settings.list:
        raise SettingError("list", "the account IDs are given already", "leave it out, or give no IDs")


def lane_quotas(settings: Settings) -> dict[str, Quota | None]:
    """The quota of each lane that a harvest with these settings uses, by the lane's label."""
    return {
        lane_label(client.label, version, settings.api_version): shared_quota(
            client.quota or settings.quota, settings.quota_shard
        )
        for client in distinctly_named(settings.clients)
        for version in settings.api_version
    }


def run_started(settings: Settings) -> RunStarted:
    """The first event of a run."""
    quotas = lane_quotas(settings)
    different = dict.fromkeys("none" if quota is None else str(quota) for quota in quotas.values())
    return RunStarted(
        version=VERSION,
        tenant=settings.host,
        api_versions=settings.api_version,
        output=settings.output,
        quota=", ".join(different) or None,
        lanes=len(quotas),
        shard=None if settings.shard is None else str(settings.shard),
    )
