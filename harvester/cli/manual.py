"""`harvester help`: the pages of the manual, which come with the program."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable

import click
from click.shell_completion import CompletionItem

from harvester.cli.help import Command
from harvester.errors import did_you_mean

_EXAMPLES = """\b
Examples:
  harvester help
  harvester help unused
  harvester help troubleshooting | less"""

_TITLE = re.compile(r"^# (.*)$", re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->\n\n?", re.DOTALL)


def _complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in _pages() if name.startswith(incomplete)]


@click.command(cls=Command, epilog=_EXAMPLES)
@click.argument("topic", required=False, shell_complete=_complete)
@click.pass_context
def command(context: click.Context, topic: str | None) -> None:
    """Show a page of the manual, or the help of a command; without TOPIC, the topics."""
    pages = _pages()
    if topic is None:
        click.echo("\n".join(_topics(pages)))
    elif topic in pages:
        click.echo(_COMMENT.sub("", pages[topic].read_text(encoding="utf-8")).rstrip())
    else:
        click.echo(_help_of(context, topic, list(pages)))


def _pages() -> dict[str, Traversable]:
    """The pages by topic. `manual` is a link to docs/ in a clone, and a copy of it in a wheel."""
    found = (files("harvester") / "manual").iterdir()
    pages = {one.name.removesuffix(".md"): one for one in found if one.name.endswith(".md")}
    return dict(sorted(pages.items()))


def _topics(pages: dict[str, Traversable]) -> list[str]:
    width = max(map(len, pages))
    titles = {name: _TITLE.search(page.read_text(encoding="utf-8")) for name, page in pages.items()}
    return [f"{name:{width}}  {title[1] if title else ''}".rstrip() for name, title in titles.items()]


def _help_of(context: click.Context, name: str, topics: list[str]) -> str:
    root = context.find_root()
    program = root.command
    found = program.get_command(root, name) if isinstance(program, click.Group) else None
    if found is None:
        hint = did_you_mean(name, topics, f"give one of {', '.join(topics)}, or a command")
        raise click.UsageError(f"There is no page called {name!r}: {hint}", context)
    return found.get_help(click.Context(found, info_name=name, parent=root))
