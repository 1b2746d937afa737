"""`harvester help`: the pages of the manual, which come with the program."""

from __future__ import annotations

import re
from importlib.resources import files

import click
from click.shell_completion import CompletionItem

from harvester.cli.help import Command
from harvester.errors import did_you_mean

_COMMENT = re.compile(r"<!--.*?-->\n\n?", re.DOTALL)


def _complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in _pages() if name.startswith(incomplete)]


@click.command(cls=Command)
@click.argument("topic", required=False, shell_complete=_complete)
@click.pass_context
def command(context: click.Context, topic: str | None) -> None:
    """Show a page of the manual, or the help of a command; without TOPIC, the topics.

    Examples:
      harvester help
      harvester help unused
      harvester help troubleshooting | less
    """
    pages = _pages()
    if topic is None:
        width = max(map(len, pages))
        for name, page in pages.items():
            click.echo(f"{name:{width}}  {page.splitlines()[0].removeprefix('# ')}")
    else:
        click.echo(pages[topic] if topic in pages else _help_of(context, topic, list(pages)))


def _pages() -> dict[str, str]:
    """The pages by topic. `manual` is a link to docs/ in a clone, and a copy of it in a wheel."""
    found = sorted((files("harvester") / "manual").iterdir(), key=lambda one: one.name)
    return {
        one.name.removesuffix(".md"): _COMMENT.sub("", one.read_text(encoding="utf-8")).strip()
        for one in found
        if one.name.endswith(".md")
    }


def _help_of(context: click.Context, name: str, topics: list[str]) -> str:
    root = context.find_root()
    program = root.command
    found = program.get_command(root, name) if isinstance(program, click.Group) else None
    if found is None:
        hint = did_you_mean(name, topics, f"give one of {', '.join(topics)}, or a command")
        raise click.UsageError(f"There is no page called {name!r}: {hint}", context)
    return found.get_help(click.Context(found, info_name=name, parent=root))
