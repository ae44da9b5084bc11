"""How this machine reaches its package registries, as files for a machine that is to reach them the same way.

Nothing is known here about any place: the resolver, the certificates that this machine trusts beyond Debian's, and
what its apt, pip and Go are told, are read where they are in force.
"""

from __future__ import annotations

import os
import re
import shutil
import ssl
import sys
from functools import cache
from pathlib import Path

from tests.host.shell import run

BUNDLE = "etc/ssl/certs/ca-certificates.crt"
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", re.S)
APT_SETTINGS = re.compile(r"Acquire::(https?|Check-|Retries|ForceIPv4|Languages)")
PIP_SETTINGS = {"index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout", "retries"}
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@cache
def files() -> dict[str, str]:
    """Return path (relative to a machine's root) -> text; where nothing is special here, only the resolver."""
    found = {"etc/resolv.conf": _resolver()}
    found |= _certificates()
    found |= _when_any("etc/apt/apt.conf.d/90surroundings", _apt())
    found |= _when_any("etc/pip.conf", _pip(BUNDLE in found))
    found |= _when_any("etc/environment", _environment())
    return found


@cache
def mirrors() -> tuple[str, str]:
    """Return the addresses of Debian's archive and of its security archive; "" where apt here names none."""
    found = _mirrors()
    if "Debian" not in found:
        run(["apt-get", "update", "-q"], timeout=300, check=False)  # the labels are in the lists
        found = _mirrors()
    return found.get("Debian", ""), found.get("Debian-Security", "")


def _mirrors() -> dict[str, str]:
    targets = ["apt-get", "indextargets", "Created-By: Packages", "Origin: Debian"]
    lines = run([*targets, "--format", "$(LABEL) $(REPO_URI)"], check=False).splitlines()
    return {label: address.rstrip("/") for label, _, address in (line.partition(" ") for line in lines)}


def _when_any(path: str, text: str) -> dict[str, str]:
    return {path: text} if text else {}


def _resolver() -> str:
    own, upstream = Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")
    text = own.read_text()
    # A resolver on loopback answers this machine alone; systemd's has a list of those that it asks.
    return upstream.read_text() if re.search(r"^nameserver\s+127\.", text, re.M) and upstream.exists() else text


def _certificates() -> dict[str, str]:
    """Return what this machine trusts and Debian's package does not, and the whole bundle; nothing where that is all.

    They stay when ca-certificates is installed over them, and count without it.
    """
    bundle = Path(os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile or f"/{BUNDLE}")
    if not bundle.exists():
        return {}
    packaged = Path("/usr/share/ca-certificates").rglob("*.crt")
    common = {found for path in packaged for found in CERTIFICATE.findall(path.read_text())}
    own = [found for found in CERTIFICATE.findall(bundle.read_text()) if found not in common]
    names = (f"usr/local/share/ca-certificates/surroundings-{number}.crt" for number in range(len(own)))
    return dict(zip(names, own, strict=True)) | ({BUNDLE: bundle.read_text()} if own else {})


def _apt() -> str:
    dump = run(["apt-config", "dump", "--format", '%f "%v";%n', "Acquire"])
    chosen = [line for line in dump.splitlines() if APT_SETTINGS.match(line) and not line.endswith('"";')]
    return "".join(f"{line}\n" for line in chosen)


def _pip(has_own_certificates: bool) -> str:
    """Return pip's settings here, later ones (the environment) over earlier ones."""
    settings: dict[str, str] = {"cert": f"/{BUNDLE}"} if has_own_certificates else {}
    config = [sys.executable, "-m", "pip", "config", "--disable-pip-version-check", "list"]
    lines = run(config, check=False).splitlines()
    # ":env:" is listed first and is the strongest.
    for line in reversed(lines):
        found = re.fullmatch(r"(?:global|:env:)\.([a-z-]+)='(.*)'", line)
        if found and found[1] in PIP_SETTINGS:
            settings[found[1].removeprefix("default-")] = found[2].replace("\\n", "\n    ")
    body = "".join(f"{name} = {value}\n" for name, value in settings.items())
    return f"[global]\n{body}" if body else ""


def _environment() -> str:
    """Return proxies, and where Go's modules come from, as sessions of the machine see them."""
    settings = {name: os.environ[name] for name in PROXIES if os.environ.get(name)}
    if shutil.which("go"):
        names = ["GOPROXY", "GOSUMDB"]
        settings |= dict(zip(names, run(["go", "env", *names]).splitlines(), strict=True))
    return "".join(f"{name}={value}\n" for name, value in settings.items() if value)
