"""The source as the static tests read it: parsed, never imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Module:
    """One Python file."""

    name: str  # dotted, as it is imported
    path: Path
    tree: ast.Module
    text: str

    @property
    def shown(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def room(self) -> str:
        """The part of the house: `db` of nebula.db.files, `config` of nebula.config."""
        return self.name.split(".")[1] if "." in self.name else ""

    def imports(self) -> Iterator[tuple[str, int, bool]]:
        """Yield (dotted name, line, whether it stands inside a function); typing-only imports are left out."""
        yield from _imports(self.tree, False)


@cache
def modules(package: str) -> tuple[Module, ...]:
    """Return the modules of `nebula`, `nebula_cli`, `nebula_deploy`, `nebula_backup` or `tests`."""
    bases = {"nebula": "src", "nebula_cli": "cli", "nebula_deploy": "roles/gitops/files", "tests": "."}
    base = ROOT / (bases | {"nebula_backup": "roles/backup/files"})[package]
    return tuple(_module(path, base) for path in sorted((base / package).rglob("*.py")))


def functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of a module."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _module(path: Path, base: Path) -> Module:
    parts = path.relative_to(base).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    text = path.read_text()
    return Module(name, path, ast.parse(text, str(path)), text)


def _imports(node: ast.AST, inside: bool) -> Iterator[tuple[str, int, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, child.lineno, inside) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from ((f"{child.module}.{alias.name}", child.lineno, inside) for alias in child.names)
        elif isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        else:
            yield from _imports(child, inside or isinstance(child, ast.FunctionDef | ast.Lambda))
