"""The table of commands: their names, and the modules that hold their functions, in the order of the help."""

from __future__ import annotations

GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "accounts": ("Signing in", ("ping", "login", "logout", "whoami", "passwd", "sessions")),
    "transfers": ("Bringing and fetching", ("upload", "download")),
    "files": ("Files", ("ls", "info", "rename", "rm", "trash", "restore")),
    "playing": ("Watching", ("play", "link", "links")),
    "jobs": ("Work and the server", ("jobs", "job", "retry", "pause", "resume", "cancel", "status")),
    "power": ("The machines", ("power",)),
    "deploys": ("The server itself", ("deploy",)),
    "backups": ("Its backup", ("backup",)),
    "shell": ("The shell", ("completion",)),
}

MODULES: dict[str, str] = {name: module for module, (_, names) in GROUPS.items() for name in names}
