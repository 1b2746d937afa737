"""`harvester completion`: the script that lets a shell complete commands, options and their words."""

from __future__ import annotations

import click
from click.shell_completion import shell_complete

from harvester.cli.help import Command


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script for SHELL: commands, options, the words of choices, and files.

    Examples:
      bash:  echo 'eval "$(harvester completion bash)"' >> ~/.bashrc
      zsh:   echo 'eval "$(harvester completion zsh)"' >> ~/.zshrc    # after compinit
      fish:  harvester completion fish > ~/.config/fish/completions/harvester.fish
    """
    program = context.find_root().command
    shell_complete(program, {}, "harvester", "_HARVESTER_COMPLETE", f"{shell}_source")
