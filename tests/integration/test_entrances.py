"""A setting that is wrong stops every program of the server at its start, with one sentence that says what to write."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from nebula import config
from nebula.api import gateway
from nebula.domain.states import Queue
from nebula.worker import app as worker
from tests.running import ABOVE, SERVER

ENTRANCES: dict[str, list[str]] = {
    "up": [str(SERVER), "up"],
    "check": [str(SERVER), "check"],
    "migrate": [str(SERVER), "migrate"],
    "gateway": gateway.argv(config.load({"NEBULA_BIND": "127.0.0.1:0"})),
    "quick worker": worker.argv(Queue.QUICK),
    "encode worker": worker.argv(Queue.ENCODE),
}
WRONG = {
    "REDIS_URL": "redis://:hunter2@127.0.0.1:port/0",
    "DATABASE_URL": "postgresql://nebula:hunter2@127.0.0.1:99999/nebula",
    "S3_ENDPOINT": "http://key:hunter2@127.0.0.1:9000",
    "SECRET_KEY": "hunter2",
    "NEBULA_SWEEP_INTERVAL": "hourly",
}


def run(entrance: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ABOVE)}
    environ = inherited | {"NEBULA_DATA_DIR": str(folder / "data"), "SECRET_KEY": "k" * 32} | settings
    return subprocess.run(
        ENTRANCES[entrance], env=environ, capture_output=True, text=True, timeout=120, check=False, cwd=folder
    )


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_a_wrong_setting_ends_the_start_in_one_sentence(entrance: str, tmp_path: Path) -> None:
    for name, value in WRONG.items() if entrance == "check" else list(WRONG.items())[:1]:
        ended = run(entrance, tmp_path, **{name: value})
        assert ended.returncode != 0
        *before, line = ended.stderr.splitlines()
        assert all("[INFO] Starting gunicorn" in other for other in before)
        assert line.startswith(f"nebula-server: {name}: ")
        assert "takes" in line
        assert "hunter2" not in ended.stdout + line
        assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("entrance", ["up", "migrate"])
def test_a_data_directory_that_cannot_be_made_is_named(entrance: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ended = run(entrance, tmp_path, NEBULA_DATA_DIR=str(tmp_path / "file" / "data"))
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "NEBULA_DATA_DIR" in line
