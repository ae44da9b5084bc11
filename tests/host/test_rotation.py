"""Every secret of the laptop is replaced: nobody is signed out, the old ones are refused, a cut is mended."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml

from nebula.auth.tokens import AccessTokens
from tests.host.site import BACK_S, Owner, changed
from tests.stores import wait_until

SECRETS = "/etc/nebula/secrets"
TARGET = "/srv/backup/nebula"
BOOK = "rotate-secrets.yml"
MC = "/usr/local/lib/nebula/mc --config-dir /run/mc --quiet"
METRICS = "http://127.0.0.1:8420/metrics"
# How each secret is tried; a command that succeeds with one that counts.
USES = {
    "postgresql_password": "PGPASSWORD={} psql -XAtq -h 127.0.0.1 -U nebula -d nebula -c 'SELECT 1'",
    "redis_password": "REDISCLI_AUTH={} redis-cli -h 127.0.0.1 --user nebula --no-auth-warning PING | grep -qx PONG",
    "minio_root_password": f"MC_HOST_store=http://nebula-root:{{}}@127.0.0.1:9000 {MC} admin user list store",
    "minio_secret_key": f"MC_HOST_store=http://nebula:{{}}@127.0.0.1:9000 {MC} ls store/nebula-uploads/none",
    "metrics_token": f"curl -s -o /dev/null --fail -H 'Authorization: Bearer {{}}' {METRICS}",
    "backup_password": f"RESTIC_PASSWORD={{}} restic -r {TARGET} --no-cache --no-lock cat config",
}
REPLACED = [name for name in USES if name != "backup_password"]
CONFIRM = ("-e", "recovery_file_is_kept_elsewhere=true")


@dataclass(frozen=True)
class Before:
    """What counted before the rotation."""

    secrets: dict[str, str]
    signing_key: str
    recovery: dict[str, Any]
    link: str


@pytest.fixture(scope="module")
def prepared(owner: Owner) -> Owner:
    """The laptop with a backup, with metrics, and with access tokens that live for a minute."""
    owner.settings |= {"backup_repository": TARGET, "backup_same_disk_accepted": True, "api_metrics": True}
    owner.settings |= {"nebula_settings": {"ACCESS_TOKEN_EXPIRE_MINUTES": 1}}
    owner.playbook("--tags", "nebula,api,backup")
    owner.machine.run("systemctl start nebula-backup.service", timeout=600)
    return owner


@pytest.fixture(scope="module")
def rotated(prepared: Owner, film: Path) -> Before:
    """The laptop after a rotation that a power cut ended at its worst moment, and that was run again."""
    owner = prepared
    before = Before(
        {name: _secret(owner, name) for name in USES},
        _secret(owner, "secret_key"),
        _recovery(owner),
        owner.nebula("link", film.name, "--quality", "original").split()[0],
    )
    assert [name for name, secret in before.secrets.items() if not _counts(owner, name, secret)] == []
    # The files hold new secrets, of which the stores know nothing yet.
    owner.cut_off(name=BOOK, when=lambda: _secret(owner, "redis_password") != before.secrets["redis_password"])
    wait_until(owner.is_ready, BACK_S, "readiness")
    _check_works(owner, before, film)
    assert "its secrets are replaced half way" in owner.stopped(name="verify.yml")
    printed = " ".join(owner.playbook(name=BOOK).split())
    assert "nobody was signed out" in printed
    assert [secret for secret in before.secrets.values() if secret in printed] == []
    return before


def test_nobody_is_signed_out_and_everything_goes_on(prepared: Owner, rotated: Before, film: Path) -> None:
    _check_works(prepared, rotated, film)
    again = prepared.home / "after.mkv"
    again.write_bytes(film.read_bytes() + b"\0" * 32)  # other bytes: a film to make
    prepared.nebula("upload", str(again))
    wait_until(lambda: prepared.state(again.name) == "ready", 300, "a film made with the new secrets")


@pytest.mark.parametrize("name", REPLACED)
def test_secret_is_a_new_one_and_the_old_one_is_refused(prepared: Owner, rotated: Before, name: str) -> None:
    assert _counts(prepared, name, _secret(prepared, name))
    assert not _counts(prepared, name, rotated.secrets[name])


def test_old_signing_key_counts_until_its_last_token_has_run_out(prepared: Owner, rotated: Before) -> None:
    newest, *older = _secret(prepared, "secret_key").split()
    assert newest != rotated.signing_key
    assert older
    assert [key for key in older if "@" not in key] == []
    assert _signed_with(prepared, newest) == "200"
    for key in {rotated.signing_key, *(key.partition("@")[0] for key in older)}:
        wait_until(lambda key=key: _signed_with(prepared, key) == "401", 300, "the end of an old key")  # type: ignore[misc]
    assert _signed_with(prepared, newest) == "200"
    assert prepared.nebula("whoami").startswith("owner")


def test_nothing_of_the_way_is_left(prepared: Owner, rotated: Before) -> None:
    assert prepared.machine.run("find /etc/nebula /etc/systemd/system -name '*bridge*' -o -name '*.next'") == ""
    roles = "cd / && runuser -u postgres -- psql -XAtqc \"SELECT rolname FROM pg_roles WHERE rolname LIKE 'nebula%'\""
    assert "nebula_bridge" not in prepared.machine.run(roles)
    assert changed(prepared.playbook("--tags", "postgresql,redis,minio,nebula,api,backup"))["laptop"] == 0


def test_backup_opens_with_the_old_password_until_the_new_recovery_file_is_confirmed(
    prepared: Owner, rotated: Before
) -> None:
    recovery = _recovery(prepared)
    old, new = rotated.recovery["backup_password"], recovery["backup_password"]
    assert (old, new) == (rotated.secrets["backup_password"], _secret(prepared, "backup_password"))
    assert recovery["secret_key"] == _secret(prepared, "secret_key")
    assert old != new
    assert _counts(prepared, "backup_password", old)
    assert _counts(prepared, "backup_password", new)
    prepared.machine.run("systemctl start nebula-backup.service", timeout=600)
    prepared.playbook(*CONFIRM, name="backup.yml")
    assert _counts(prepared, "backup_password", new)
    assert not _counts(prepared, "backup_password", old)
    prepared.machine.run("systemctl start nebula-backup.service", timeout=600)


def test_rotation_is_refused_and_changes_nothing_while_the_backup_is_away(prepared: Owner, rotated: Before) -> None:
    before = prepared.machine.run(f"cd {SECRETS} && sha256sum *_*")
    prepared.machine.run(f"mv {TARGET} {TARGET}.away")
    try:
        said = prepared.stopped(name=BOOK)
        assert "The backup takes no new password, so no secret was changed." in said
        assert "mount its disk" in said
    finally:
        prepared.machine.run(f"mv {TARGET}.away {TARGET}; rm {SECRETS}/backup_password.next")
    assert prepared.machine.run(f"cd {SECRETS} && sha256sum *_*") == before
    assert prepared.is_ready()


def _check_works(owner: Owner, before: Before, film: Path) -> None:
    """The session, the link and the bytes are what they were."""
    assert owner.nebula("whoami").startswith("owner")
    assert owner.is_ready()
    assert owner.services() == {"database": "up", "objects": "up", "queue": "up"}
    copy = owner.home / "copy.mkv"
    owner.run(["curl", "-s", "--fail", "-o", str(copy), before.link], timeout=120)
    assert hashlib.sha256(copy.read_bytes()).digest() == hashlib.sha256(film.read_bytes()).digest()


def _secret(owner: Owner, name: str) -> str:
    return owner.machine.run(f"cat {SECRETS}/{name}")


def _counts(owner: Owner, name: str, secret: str) -> bool:
    command = USES[name].format(secret)
    return owner.machine.run(f"if {command} >/dev/null 2>&1; then echo yes; fi", timeout=120) == "yes"


def _signed_with(owner: Owner, key: str) -> str:
    """Return the status that a token of the owner's own session gets, signed anew with a key."""
    kept = json.loads((owner.home / ".local/state/nebula/credentials.json").read_text())
    claims = jwt.decode(kept["sessions"][owner.server]["access_token"], options={"verify_signature": False})
    token = AccessTokens([key], minutes=15).issue(claims["sub"], claims["sid"], claims["jti"])
    asks = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"Authorization: Bearer {token}"]
    return owner.run([*asks, f"{owner.server}/api/v1/auth/whoami"])


def _recovery(owner: Owner) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((owner.left_folder / "recovery.yml").read_text())
    return read
