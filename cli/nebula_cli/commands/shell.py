"""What the shell is told."""

from __future__ import annotations

from nebula_cli import completing, output
from nebula_cli.command_line import command
from nebula_cli.errors import UsageError


@command
def completion(shell: str) -> None:
    """Print the completion script of a shell: bash, zsh or fish.

    bash: nebula completion bash > ~/.local/share/bash-completion/completions/nebula
    zsh:  nebula completion zsh > a directory of $fpath/_nebula
    fish: nebula completion fish > ~/.config/fish/completions/nebula.fish
    """
    if shell not in completing.SCRIPTS:
        raise UsageError(f"There is no completion for {shell!r}; it takes {', '.join(completing.SCRIPTS)}.")
    output.data(completing.SCRIPTS[shell](completing.vocabulary()))
