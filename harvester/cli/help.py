"""Help in two lengths: -h has what most people need, --help has everything, in titled groups."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import click

_SHORT = "harvester.short_help"
_COMMON = "Common options"
_OTHER = "Other options"


class GroupedOption(click.Option):
    """An option that knows the group in which help shows it, and its rank among the common ones."""

    def __init__(self, *args: Any, group: str = _OTHER, common: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.group = group
        self.common = common

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The names and the help; the flag for `no` is named only where it changes something."""
        record = super().get_help_record(ctx)
        if record is None or not self.secondary_opts or "[default: " in record[1]:
            return record
        return " / ".join(self.opts), record[1]


class Command(click.Command):
    """A command with -h and --help, its options in groups, and the examples of its docstring at the end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.help, begin, examples = inspect.cleandoc(self.help or "").partition("\n\nExamples:")
        self.epilog = f"{begin.strip()}{examples}\n\n{self.epilog or ''}".strip()
        self.params.append(
            click.Option(
                ["-h"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_show_short_help,
                help="Show the most used options and exit.",
            )
        )
        if not isinstance(self, click.Group):
            self.params += _missing_verbosity(self.params)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the command does, in short help its first paragraph."""
        text = self.help or ""
        _write(formatter, _first_paragraph(text) if ctx.meta.get(_SHORT) else text)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options that most people need, then the rest by groups."""
        groups: dict[str, list[tuple[str, str]]] = {_COMMON: []}
        for param in sorted(self.get_params(ctx), key=lambda param: getattr(param, "common", 0)):
            if isinstance(param, click.Option) and (record := param.get_help_record(ctx)):
                title = _COMMON if getattr(param, "common", False) else getattr(param, "group", _OTHER)
                groups.setdefault(title, []).append(record)
        others = groups.pop(_OTHER, [])
        if ctx.meta.get(_SHORT) and groups[_COMMON]:
            groups = {_COMMON: groups[_COMMON]}
        else:
            groups[_OTHER if any(groups.values()) else "Options"] = others
        for title, records in groups.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples; short help says where the rest is."""
        text = self.epilog or ""
        if ctx.meta.get(_SHORT):
            text = f"{_first_paragraph(text)}\n\n{ctx.command_path} --help shows everything."
        _write(formatter, text)


class Group(Command, click.Group):
    """A group of commands with the same help; its commands have it too."""

    command_class = Command


def _write(formatter: click.HelpFormatter, text: str) -> None:
    """Write paragraphs; those with indented lines stay as they are."""
    kept = (f"\b\n{one}" if "\n  " in one else one for one in text.split("\n\n"))  # click's mark
    formatter.write_paragraph()
    with formatter.indentation():
        formatter.write_text("\n\n".join(kept))


def _first_paragraph(text: str) -> str:
    return text.partition("\n\n")[0]


def _missing_verbosity(params: list[click.Parameter]) -> Iterator[click.Option]:
    """-v and -q for a command that has nothing to log: every command accepts them."""
    taken = {name for param in params for name in param.opts}
    for short, long in ("-v", "--verbose"), ("-q", "--quiet"):
        if short not in taken:
            counted: dict[str, Any] = {"count": True} if short == "-v" else {"is_flag": True}
            yield click.Option([short, long], expose_value=False, hidden=True, **counted)


def _show_short_help(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:  # click's
    if wanted and not ctx.resilient_parsing:
        ctx.meta[_SHORT] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()
