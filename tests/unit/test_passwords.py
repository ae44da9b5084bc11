"""Password hashes: their figures, their normal form, and how many are made at once."""

from __future__ import annotations

import subprocess
import sys
import threading
from unittest import mock

import pytest

from nebula.auth import passwords
from nebula.auth.passwords import Passwords
from nebula.errors import Busy, InvalidInput
from tests.stores import wait_until

FIGURES = "$argon2id$v=19$m=19456,t=2,p=1$"


@pytest.fixture(scope="module")
def hasher() -> Passwords:
    return Passwords()


def test_hash_is_argon2id_with_nineteen_mebibytes(hasher: Passwords) -> None:
    assert hasher.hash("correct horse").startswith(FIGURES)


def test_hash_differs_when_the_password_is_the_same(hasher: Passwords) -> None:
    assert hasher.hash("correct horse") != hasher.hash("correct horse")


def test_verify_tells_the_password_from_another(hasher: Passwords) -> None:
    stored = hasher.hash("correct horse")
    assert hasher.verify("correct horse", stored)
    assert not hasher.verify("correct horsf", stored)


def test_verify_takes_the_same_password_when_it_is_composed_otherwise(hasher: Passwords) -> None:
    assert hasher.verify("pa\u0308sswo\u0308rd", hasher.hash("p\u00e4ssw\u00f6rd"))


@pytest.mark.parametrize("password", ["", "short", "x" * 5000, "12345678\x00", "12345678\ud800"])
def test_verify_refuses_when_the_password_cannot_be_one(hasher: Passwords, password: str) -> None:
    assert not hasher.verify(password, hasher.hash("correct horse"))
    with pytest.raises(InvalidInput):
        hasher.hash(password)


@pytest.mark.parametrize(("password", "known"), [("correct horse", False), ("", True), ("x" * 5000, True)])
def test_verify_does_the_same_work_when_it_cannot_succeed(hasher: Passwords, password: str, known: bool) -> None:
    stored = hasher.hash("another one") if known else None
    with mock.patch.object(passwords.CONTEXT, "verify", wraps=passwords.CONTEXT.verify) as verify:
        assert not hasher.verify(password, stored)
    (((_, checked), _),) = verify.call_args_list
    assert checked.startswith(FIGURES)


def test_third_hash_is_refused_when_two_are_under_way() -> None:
    hasher = Passwords()
    stored = hasher.hash("correct horse")
    release = threading.Event()
    under_way = threading.Semaphore(0)

    def slow(*_: object) -> bool:
        under_way.release()
        return release.wait(30)

    with mock.patch.object(passwords.CONTEXT, "verify", slow):
        threads = [threading.Thread(target=hasher.verify, args=("correct horse", stored)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert under_way.acquire(timeout=30)
        with pytest.raises(Busy) as raised:
            hasher.verify("correct horse", stored)
        release.set()
        for thread in threads:
            thread.join(30)
    assert raised.value.details["retry_after_s"] == 2
    wait_until(lambda: hasher.verify("correct horse", stored), what="a free place")


def test_place_is_given_back_when_a_hash_fails(hasher: Passwords) -> None:
    for _ in range(5):
        with pytest.raises(Exception, match="hash could not be identified"):
            hasher.verify("correct horse", "garbage")
    assert hasher.verify("correct horse", hasher.hash("correct horse"))


def test_import_warns_of_nothing() -> None:
    code = "from nebula.auth.passwords import Passwords; Passwords().hash('correct horse')"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)
