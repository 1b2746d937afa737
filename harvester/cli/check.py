"""`harvester check`: what stands between this configuration and a harvest, and how to fix it."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import click

from harvester import parts
from harvester.check import PATIENCE, Check, Finding, Verdict, Workload, of_error, ok, warning
from harvester.cli.options import INPUTS, SettingsCommand, loaded, setting_options
from harvester.errors import InputError, StopRun
from harvester.event_loop import run_blocking
from harvester.parts import lane_quotas
from harvester.plan import plan
from harvester.report.event_log import EventLog
from harvester.report.github import tell_error
from harvester.report.log import logging_to
from harvester.report.redaction import Redactor
from harvester.report.text import columns, plural, safe, safe_json, wrap
from harvester.settings import Loaded
from harvester.settings.settings import Settings, secrets_of

_LIST_OPTIONS = ("account", "list", "filters", "input_format", "id_field", "shard", "split_quota")
_OTHER_OPTIONS = ("skip_unreported", "max_outage")
_COLORS: Final = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILED: "red"}
_VERDICT_WIDTH, _TOPIC_WIDTH = 9, 15


@click.command(
    cls=SettingsCommand,
    params=[INPUTS, *setting_options("connection", "pace", *_LIST_OPTIONS, *_OTHER_OPTIONS)],
)
@click.option("--json", "as_json", is_flag=True, help="Print all findings as one JSON object.")
def command(*, as_json: bool, **options: Any) -> int:
    """Test configuration, network, credentials, scopes and quota with a few requests.

    Each line says ok, or what is wrong and how to fix it. At the end is an estimate of how long a harvest
    takes: of the accounts in INPUT, otherwise of all accounts of the tenant. It writes nothing, never waits
    for a quota or an outage, and never tries a refused secret twice. With -q, only what is wrong is shown;
    with -v, each request is logged.

    Examples:
      harvester check
      harvester check ids.txt --api-version v2024,v2025
      harvester check accounts.ndjson --profile prod --json

    Exit statuses:
      0  a harvest can begin (there may be warnings)
      2  the configuration, or the way to the tenant, is wrong
      4  the credentials are refused, or lack the scope
      5  the tenant does not answer properly at present
    """
    shown = _Shown(as_json=as_json, quiet=bool(options.get("quiet")))
    try:
        # The configuration first: without one there is nothing to try. Then the list, which is free.
        found = loaded(options)
        shown.redact = Redactor(secrets_of(found.settings))
        for text in found.warnings:
            shown.add(warning("configuration", text, ""))
        shown.add(_about(found))
        workload = _workload(found.settings)
        with _requests_logged(found.settings, shown.redact):
            run_blocking(lambda: _check(found.settings, workload, shown))
    except StopRun as error:
        shown.add(of_error("list" if isinstance(error, InputError) else "configuration", error))
    shown.end()
    return shown.status


def _about(found: Loaded) -> Finding:
    settings, origins = found.settings, found.origins
    clients = ", ".join(client.label for client in settings.clients)
    text = (
        f"{settings.base_url} (from {origins['base_url']}), API version {','.join(settings.api_version)}, "
        f"{plural(len(settings.clients), 'client')}: {clients} (from {origins['clients']})"
    )
    file = None if found.config is None else str(found.config)
    return ok("configuration", text, baseUrl=settings.base_url, config=file, profile=found.profile)


def _workload(settings: Settings) -> Workload | None:
    """The accounts of the list that the settings name; None for the tenant's own."""
    if settings.list or not (settings.inputs or settings.account):
        return None
    found = plan(settings)
    pending = found.distinct - found.settled
    return Workload(pending, found.settled, found.unreported, found.by_source)


def _requests_logged(settings: Settings, redact: Redactor) -> AbstractContextManager[object]:
    """With -v, a log of the requests; otherwise the findings say it all."""
    if settings.verbosity <= 0:
        return nullcontext()
    return logging_to(log_format=settings.log_format, verbosity=settings.verbosity + 1, redact=redact)


async def _check(settings: Settings, workload: Workload | None, shown: _Shown) -> None:
    async with parts.open_tenant(settings, observer=EventLog().observe, memory={}) as tenant:
        await Check(
            tenant,
            shown.add,
            tls=settings.base_url.startswith("https:"),
            ca_bundle=settings.ca_bundle,
            quotas=lane_quotas(settings),
            workload=workload,
            filters=settings.filters or "",
            listing=settings.list,
            skipping=settings.skip_unreported,
            patience=min(PATIENCE, settings.max_outage),
            shards=1 if settings.shard is None else settings.shard.count,
        ).run()


@dataclasses.dataclass(slots=True)
class _Shown:
    """The findings: each a line as soon as it is known, or all of them one JSON object at the end.

    `status` is that of the first one that failed.
    """

    as_json: bool
    quiet: bool
    redact: Redactor = dataclasses.field(default_factory=Redactor)
    status: int = 0
    findings: list[Finding] = dataclasses.field(default_factory=list)

    def add(self, finding: Finding) -> None:
        """Take a finding."""
        text, hint = safe(self.redact(finding.text)), safe(self.redact(finding.hint))
        finding = dataclasses.replace(finding, text=text, hint=hint)
        self.findings.append(finding)
        if finding.status and not self.status:
            self.status = finding.status
            tell_error(str(finding), finding.status, os.environ)
        if not self.as_json and not (self.quiet and finding.verdict is Verdict.OK):
            self._print(finding)

    def _print(self, finding: Finding) -> None:
        start = f"{finding.verdict:<{_VERDICT_WIDTH}}{finding.topic:<{_TOPIC_WIDTH}}"
        lines = wrap(start + str(finding), columns(sys.stdout), len(start))
        verdict = click.style(finding.verdict, fg=_COLORS[finding.verdict])
        # None: click leaves colors out where there is no terminal.
        color = False if os.environ.get("NO_COLOR") else None
        click.echo(verdict + "\n".join(lines).removeprefix(finding.verdict), color=color)

    def end(self) -> None:
        """What it comes to."""
        verdicts = Counter(finding.verdict for finding in self.findings)
        if self.as_json:
            findings = [dataclasses.asdict(finding) for finding in self.findings]
            document = {"status": self.status, "findings": findings}
            click.echo(safe_json(json.dumps(document, ensure_ascii=False)))
        elif self.quiet:
            return
        elif self.status:
            click.echo(f"\n{plural(verdicts[Verdict.FAILED], 'check')} failed.")
        else:
            warned = verdicts[Verdict.WARNING]
            click.echo("\nA harvest can begin" + (f" ({plural(warned, 'warning')})." if warned else "."))
