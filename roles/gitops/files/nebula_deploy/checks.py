"""Decides whether a commit can be deployed. It only parses the commit's files and runs none of them."""

from __future__ import annotations

import warnings

from nebula_deploy import locked, revisions
from nebula_deploy.places import Stop
from nebula_deploy.repository import Repository

NEEDED = (
    "pyproject.toml",
    "requirements.lock",
    "src/nebula/__init__.py",
    "cli/nebula_cli/__init__.py",
    "systemd/nebula-api.socket",
    "systemd/nebula-api.service",
    "systemd/nebula-quick.service",
    "systemd/nebula-worker.service",
)
PARSED = ("src/", "cli/")


def check(repository: Repository, commit: str) -> revisions.Graph:
    """Return the schema's history of a commit. Raises Stop with the first problem that would keep it from running."""
    files = repository.files(commit)
    missing = [path for path in NEEDED if path not in files]
    if missing:
        raise Stop(f"The commit has no {missing[0]}: it is not Nebula as it is deployed, or the file was lost.")
    programs = {path: blob for path, blob in files.items() if path.startswith(PARSED) and path.endswith(".py")}
    history = []
    for path, text in repository.texts(programs):
        _check_syntax(path, text)
        if path.startswith(revisions.FOLDER) and not path.endswith("__init__.py"):
            history.append(revisions.parse(path, text))
    known = revisions.graph(history)
    revisions.head(known)
    texts = dict(repository.texts({path: files[path] for path in NEEDED}))
    locked.check(texts["requirements.lock"], texts["pyproject.toml"])
    for path in NEEDED:
        if path.endswith(".service") and "\nExecStart=" not in texts[path]:
            raise Stop(f"{path} starts nothing: it needs its ExecStart.")
    return known


def _check_syntax(path: str, text: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        where = f"{path}, line {error.lineno}" if error.lineno else path
        raise Stop(f"{where}: {error.msg}. Correct it, commit, and push again.") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise Stop(f"{path} cannot be parsed ({error or type(error).__name__}): correct it.") from None
