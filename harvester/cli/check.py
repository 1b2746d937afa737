"""`harvester check`: what stands between this configuration and a harvest, and how to mend it."""

from __future__ import annotations

import dataclasses
import json
import os
from contextlib import aclosing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from harvester.cli.columns import columns
from harvester.cli.options import SettingsCommand, loaded, setting_options
from harvester.errors import InputFault, StopRun
from harvester.harvesting import run_blocking
from harvester.plan import Plan, plan, plan_for
from harvester.report.figures import plural, rate, span
from harvester.report.github import tell_fault
from harvester.report.redaction import Redactor
from harvester.settings.load import Loaded, explain
from harvester.settings.model import Settings
from harvester.tenant.diagnosis import Finding, Verdict, diagnose, ok, problem, warning

_EXAMPLES = """\b
Examples:
  harvester check
  harvester check --for ids.txt
  harvester check --for 250000 --quota 500/10s
  harvester check --profile prod --config harvester.toml --json | jq .findings

\b
Exit status:
  0  a harvest can begin (there may be warnings)
  2  the configuration, or the way to the tenant, is at fault
  4  the credentials are refused, or lack the scope"""

_ALWAYS_SHOWN = frozenset({"base_url", "api_version", "clients", "quota"})
_COLOURS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.PROBLEM: "red"}
_COLUMN = 9


@click.command(cls=SettingsCommand, epilog=_EXAMPLES)
@click.option(
    "--for",
    "wanted",
    metavar="INPUT",
    help="A list of account IDs, or just their number: estimates how long it takes and when it is done.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print settings, findings and estimate as one JSON object."
)
@setting_options("tenant", "list", "pace")
def command(*, wanted: str | None, as_json: bool, **options: Any) -> int:
    """Try the configuration, the connection, the credentials and the quota, with a few requests.

    Shows each setting that matters with the place it came from, then tries the host's name, its
    certificate, /oauth/info, each client's token and its right to read usages, and looks at latency,
    clock and quota. Each line says ok, or what is wrong and how to mend it. Nothing is written.
    """
    show: _Text | _Json = _Json() if as_json else _Text()
    check = _Check(show)
    check.run(options, wanted)
    show.end(check.status)
    return check.status


class _Check:
    """Tells each finding as soon as it is known. `status` is that of the first problem."""

    def __init__(self, show: _Text | _Json) -> None:
        self.status = 0
        self._show = show
        self._redact = Redactor()
        self._latency = 0.0

    def run(self, options: dict[str, Any], wanted: str | None) -> None:
        """The configuration first: without one there is nothing to try. Then the list, which is free."""
        try:
            found = loaded(options)
            self._redact = Redactor.of(found.settings.clients)
            self._show.settings(found)
            for text in found.warnings:
                self._tell(warning("settings", text, "mend or remove it; a harvest does without"))
            wish = None if wanted is None else _plan(found.settings, wanted)
            run_blocking(lambda: self._diagnosed(found.settings))
        except StopRun as fault:
            topic = "list" if isinstance(fault, InputFault) else "settings"
            self._tell(
                problem(topic, fault.problem, fault.mend or "mend it, then check again", fault.exit_status)
            )
            return
        if wish is not None and not self.status:
            self._tell(_estimated(wish, found.settings, self._latency))

    async def _diagnosed(self, settings: Settings) -> None:
        async with aclosing(diagnose(settings)) as findings:
            async for finding in findings:
                self._tell(finding)

    def _tell(self, finding: Finding) -> None:
        if finding.status and not self.status:
            tell_fault(f"{finding.text}: {finding.mend}", finding.status, os.environ, redact=self._redact)
        self.status = self.status or finding.status
        if finding.topic == "latency":
            self._latency = finding.facts["seconds"]
        text, mend = self._redact(finding.text), self._redact(finding.mend)
        self._show.finding(dataclasses.replace(finding, text=text, mend=mend))


def _plan(settings: Settings, wanted: str) -> Plan:
    """The plan for a list; for a bare number, if no file is called so."""
    if wanted.isdecimal() and not Path(wanted).exists():
        return plan_for(int(wanted), settings)
    return plan(dataclasses.replace(settings, inputs=(wanted,)))


def _estimated(wish: Plan, settings: Settings, latency: float) -> Finding:
    """How long the list takes, by the quota and, where requests in flight are limited, by the latency."""
    per_second = _per_second(wish, settings, latency)
    accounts = plural(wish.pending, "account")
    if wish.finished:
        accounts += f" ({wish.finished:,} more were finished by an earlier run)"
    if per_second is None:
        return ok("estimate", f"{accounts}, as fast as the tenant answers: there is no quota")
    seconds = wish.pending / per_second
    done = (datetime.now().astimezone() + timedelta(seconds=seconds)).replace(microsecond=0)
    text = (
        f"{accounts} take {span(seconds)} at {rate(per_second)}: begun now, done {done:%a %Y-%m-%d %H:%M %z}"
    )
    facts = {"accounts": wish.pending, "requestsPerSecond": per_second, "done": done.isoformat()}
    return ok("estimate", text, seconds=round(seconds, 1), **facts)


def _per_second(wish: Plan, settings: Settings, latency: float) -> float | None:
    if settings.concurrency is None or not latency:
        return wish.per_second
    by_latency = settings.concurrency * max(len(settings.clients), 1) / latency
    return by_latency if wish.per_second is None else min(by_latency, wish.per_second)


class _Text:
    """Findings as lines for people, each as soon as it is known; colours on a terminal only."""

    def settings(self, found: Loaded) -> None:
        """The settings that are not as they come, and those that always matter."""
        rows = [one for one in explain(found) if one[2] != "default" or one[0] in _ALWAYS_SHOWN]
        for line in columns(rows):
            click.echo(line)
        click.echo()

    def finding(self, finding: Finding) -> None:
        """One line, and one for the mend."""
        verdict = _styled(f"{finding.verdict:<{_COLUMN}}", fg=_COLOURS[finding.verdict])
        click.echo(f"{verdict}{finding.topic:<{_COLUMN}}{finding.text}")
        if finding.mend:
            click.echo(f"{'':<{2 * _COLUMN}}{_styled('mend: ', bold=True)}{finding.mend}")

    def end(self, status: int) -> None:
        """The upshot."""
        click.echo("\nA harvest can begin." if not status else "\nMend this first, then check again.")


def _styled(text: str, **style: Any) -> str:
    """With colours, unless NO_COLOR is set; click leaves them out where there is no terminal."""
    return text if os.environ.get("NO_COLOR") else click.style(text, **style)


class _Json:
    """All of it as one JSON object, at the end."""

    def __init__(self) -> None:
        self._settings: list[dict[str, str]] = []
        self._findings: list[dict[str, Any]] = []

    def settings(self, found: Loaded) -> None:
        """Take all settings."""
        self._settings = [
            {"name": name, "value": value, "source": source} for name, value, source in explain(found)
        ]

    def finding(self, finding: Finding) -> None:
        """Take a finding."""
        self._findings.append(finding.to_json())

    def end(self, status: int) -> None:
        """Print it."""
        document = {"status": status, "settings": self._settings, "findings": self._findings}
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
