"""`harvester check`: what stands between this configuration and a harvest, and how to fix it."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, aclosing, contextmanager
from typing import Any, Final

import click

from harvester import parts
from harvester.check import PATIENCE, Check, Finding, Verdict, Workload, of_error, ok, warning
from harvester.cli.options import SettingsCommand, inputs_argument, loaded, setting_options
from harvester.errors import InputError, StopRun
from harvester.event_loop import run_blocking
from harvester.parts import lane_quotas, secrets_of
from harvester.plan import plan
from harvester.report.event_log import EventLog
from harvester.report.figures import plural
from harvester.report.github import tell_error
from harvester.report.log import logging_to
from harvester.report.redaction import Redactor
from harvester.report.text import columns, safe, safe_json, wrap
from harvester.settings import Loaded
from harvester.settings.settings import Settings

_EXAMPLES = """\b
Examples:
  harvester check
  harvester check ids.txt --api-version v2024,v2025
  harvester check accounts.ndjson --profile prod --json

\b
Exit statuses:
  0  a harvest can begin (there may be warnings)
  2  the configuration, or the way to the tenant, is wrong
  4  the credentials are refused, or lack the scope
  5  the tenant does not answer properly at present"""

_LIST_OPTIONS = ("account", "list", "filters", "input_format", "id_field", "shard", "split_quota")
_OTHER_OPTIONS = ("skip_unreported", "max_outage")
_COLORS: Final = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILED: "red"}
_VERDICT_WIDTH, _TOPIC_WIDTH = 9, 15


@click.command(cls=SettingsCommand, epilog=_EXAMPLES)
@inputs_argument
@click.option("--json", "as_json", is_flag=True, help="Print all findings as one JSON object.")
@setting_options("connection", "pace", *_LIST_OPTIONS, *_OTHER_OPTIONS)
def command(*, as_json: bool, **options: Any) -> int:
    """Test configuration, network, credentials, scopes and quota with a few requests.

    Each line says ok, or what is wrong and how to fix it. At the end is an estimate of how long a harvest
    takes: of the accounts in INPUT, otherwise of all accounts of the tenant. It writes nothing, never waits
    for a quota or an outage, and never tries a refused secret twice. With -q, only what is wrong is shown;
    with -v, each request is logged.
    """
    show = _Json() if as_json else _Text(quiet=bool(options.get("quiet")))
    run = _Run(show)
    run.check(options)
    show.end(run.status)
    return run.status


class _Run:
    """One check. `status` is that of the first finding that failed."""

    def __init__(self, show: _Text | _Json) -> None:
        self.status = 0
        self._show = show
        self._redact = Redactor()

    def check(self, options: dict[str, Any]) -> None:
        """The configuration first: without one there is nothing to try. Then the list, which is free."""
        try:
            found = loaded(options)
            self._redact = Redactor(secrets_of(found.settings))
            for text in found.warnings:
                self._tell(warning("configuration", text, ""))
            self._tell(_about(found))
            workload = _workload(found.settings)
            with _logging(found.settings, self._redact) as log:
                run_blocking(lambda: self._check_tenant(found.settings, workload, log))
        except StopRun as error:
            self._tell(of_error("list" if isinstance(error, InputError) else "configuration", error))

    async def _check_tenant(self, settings: Settings, workload: Workload | None, log: EventLog) -> None:
        async with parts.open_tenant(settings, observer=log.observe, memory={}) as tenant:
            check = Check(
                tenant,
                tls=settings.base_url.startswith("https:"),
                ca_bundle=settings.ca_bundle,
                quotas=lane_quotas(settings),
                workload=workload,
                filters=settings.filters or "",
                listing=settings.list,
                skipping=settings.skip_unreported,
                patience=min(PATIENCE, settings.max_outage),
                shards=1 if settings.shard is None else settings.shard.count,
            )
            async with aclosing(check.findings()) as findings:
                async for finding in findings:
                    self._tell(finding)

    def _tell(self, finding: Finding) -> None:
        text, hint = safe(self._redact(finding.text)), safe(self._redact(finding.hint))
        finding = dataclasses.replace(finding, text=text, hint=hint)
        if finding.status and not self.status:
            self.status = finding.status
            tell_error(str(finding), finding.status, os.environ)
        self._show.finding(finding)


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


@contextmanager
def _logging(settings: Settings, redact: Redactor) -> Iterator[EventLog]:
    """With -v, a log of the requests; otherwise the findings say it all."""
    with ExitStack() as stack:
        if settings.verbosity > 0:
            log_format, verbosity = settings.log_format, settings.verbosity + 1
            stack.enter_context(logging_to(log_format=log_format, verbosity=verbosity, redact=redact))
        yield EventLog()


class _Text:
    """Findings as lines for people, each as soon as it is known."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._verdicts: Counter[Verdict] = Counter()

    def finding(self, finding: Finding) -> None:
        """Print one line."""
        self._verdicts[finding.verdict] += 1
        if self._quiet and finding.verdict is Verdict.OK:
            return
        start = f"{finding.verdict:<{_VERDICT_WIDTH}}{finding.topic:<{_TOPIC_WIDTH}}"
        lines = wrap(start + str(finding), columns(sys.stdout), len(start))
        verdict = click.style(finding.verdict, fg=_COLORS[finding.verdict])
        click.echo(verdict + "\n".join(lines).removeprefix(finding.verdict), color=_color())

    def end(self, status: int) -> None:
        """Print what it comes to."""
        failed, warned = self._verdicts[Verdict.FAILED], self._verdicts[Verdict.WARNING]
        if self._quiet:
            return
        if status:
            click.echo(f"\n{plural(failed, 'check')} failed.")
        else:
            click.echo("\nA harvest can begin" + (f" ({plural(warned, 'warning')})." if warned else "."))


def _color() -> bool | None:
    """No colors if NO_COLOR is set; click leaves them out where there is no terminal."""
    return False if os.environ.get("NO_COLOR") else None


class _Json:
    """All findings as one JSON object, at the end."""

    def __init__(self) -> None:
        self._findings: list[dict[str, Any]] = []

    def finding(self, finding: Finding) -> None:
        """Take a finding."""
        self._findings.append(finding.to_json())

    def end(self, status: int) -> None:
        """Print them."""
        document = {"status": status, "findings": self._findings}
        click.echo(safe_json(json.dumps(document, ensure_ascii=False)))
