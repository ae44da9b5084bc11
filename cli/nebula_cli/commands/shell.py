"""The completion command: completion scripts for the shell."""

from __future__ import annotations

from nebula_cli import completing, output
from nebula_cli.command_line import command
from nebula_cli.errors import UsageError


@command
def completion(shell: str) -> None:
    """Print the completion script for a shell: bash, zsh or fish.

    bash: nebula completion bash > ~/.local/share/bash-completion/completions/nebula
    zsh:  nebula completion zsh > DIRECTORY/_nebula (a directory that is in $fpath)
    fish: nebula completion fish > ~/.config/fish/completions/nebula.fish
    """
    if shell not in completing.SCRIPTS:
        raise UsageError(f"There is no completion for {shell!r}; it takes {', '.join(completing.SCRIPTS)}.")
    output.data(completing.SCRIPTS[shell](completing.vocabulary()))
