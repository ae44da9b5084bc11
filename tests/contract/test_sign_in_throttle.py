"""Failed sign-ins, on both databases: who waits, how long, and that nobody locks another out for long.

Waits are read from the rows, and blocks that must still hold are moved an hour ahead: how fast the test runs is all the
same.
"""

from __future__ import annotations

import time
from unittest import mock

import pytest

from nebula.auth import passwords
from nebula.db.database import Database, Tx
from nebula.domain.credentials import (
    FREE_FAILURES,
    MAX_ACCOUNT_DELAY_S,
    SHARED_ADDRESS,
    account_subject,
    address_subject,
)
from nebula.errors import Forbidden, NebulaError, TooManyAttempts
from tests.household import ADDRESS, PASSWORD, Household

WRONG = "a wrong guess"
LONG_S = 1800


@pytest.fixture
def household(database: Database) -> Household:
    return Household(database)


def fail(household: Household, name: str = "anna", address: str = ADDRESS) -> None:
    assert household.outcome(name, WRONG, address) == "wrong_credentials"


def block(household: Household) -> None:
    """Fail until anna and ADDRESS wait, and make that wait a long one."""
    for _ in range(FREE_FAILURES + 1):
        fail(household)
    household.pass_time(-LONG_S)


def wait_s(household: Household, subject: str) -> float:
    """How long the subject was told to wait by its last failure."""

    def read(tx: Tx) -> float:
        row = tx.e.LoginFailure[subject]
        return float((row.blocked_until - row.last_at).total_seconds())

    return household.database.read(read)


def failures(household: Household) -> dict[str, int]:
    """The failures of each address and of each account; not what each address did to each account."""
    kinds = ("address:", "account:")
    return household.database.read(
        lambda tx: {
            row.subject: row.failures for row in list(tx.e.LoginFailure.select()) if row.subject.startswith(kinds)
        }
    )


def address_failures(household: Household, address: str = ADDRESS) -> int:
    return failures(household).get(address_subject(address), 0)


def test_sign_in_is_let_in_when_a_person_mistyped(household: Household) -> None:
    for _ in range(FREE_FAILURES):
        fail(household)
    assert household.outcome("anna") == "ok"


def test_sign_in_waits_as_long_as_it_is_told_when_failures_go_on(household: Household) -> None:
    block(household)
    with pytest.raises(TooManyAttempts) as raised:
        household.sign_in()
    told = int(str(raised.value.details["retry_after_s"]))
    assert LONG_S / 2 < told <= LONG_S + 1
    household.pass_time(told)
    assert household.outcome("anna") == "ok"


def test_wait_of_an_address_grows_to_five_minutes(household: Household) -> None:
    waits = []
    for number in range(FREE_FAILURES + 11):
        fail(household, f"name{number}")
        waits.append(wait_s(household, address_subject(ADDRESS)))
        household.pass_time(waits[-1])
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_wait_of_an_account_stays_at_five_seconds_whoever_guesses(household: Household) -> None:
    """Known or not: the two are told apart by nothing."""
    for place, name in enumerate(("anna", "nobody")):
        waits = []
        for number in range(FREE_FAILURES + 6):
            fail(household, name, f"100.64.{place}.{number}")
            waits.append(wait_s(household, account_subject(name)))
            household.pass_time(waits[-1])
        assert waits == [0, 0, 0, 0, 1, 2, 4, 5, 5, 5]
    assert household.outcome("anna", PASSWORD, "100.64.3.1") == "ok"


def test_another_person_is_let_in_when_an_address_and_an_account_are_blocked(household: Household) -> None:
    block(household)
    assert household.outcome("ben", PASSWORD, "100.64.0.8") == "ok"
    assert household.outcome("ben", PASSWORD, ADDRESS) == "too_many_attempts"
    assert household.outcome("anna", PASSWORD, "100.64.0.8") == "too_many_attempts"


def test_refused_attempt_does_not_count_and_does_not_hash(household: Household) -> None:
    block(household)
    before = failures(household)
    with mock.patch.object(passwords.CONTEXT, "verify", side_effect=AssertionError("hashed")):
        for _ in range(20):
            assert household.outcome("anna") == "too_many_attempts"
    assert failures(household) == before


def test_success_forgets_the_failures_of_its_account_and_address(household: Household) -> None:
    for _ in range(FREE_FAILURES):
        fail(household)
    fail(household, "ben", "100.64.0.8")
    assert household.outcome("anna") == "ok"
    assert failures(household) == {account_subject("ben"): 1, address_subject("100.64.0.8"): 1}


def test_failure_counts_as_the_first_when_an_hour_has_passed(household: Household) -> None:
    for _ in range(FREE_FAILURES + 1):
        fail(household)
    household.pass_time(3601)
    fail(household)
    assert set(failures(household).values()) == {1}


def test_unknown_name_is_refused_as_a_known_one_with_the_same_work(household: Household) -> None:
    def refusal(name: str) -> tuple[type[NebulaError], str, str]:
        with pytest.raises(NebulaError) as raised:
            household.sign_in(name, WRONG)
        household.pass_time(LONG_S)
        return type(raised.value), raised.value.code, raised.value.message

    names = ["anna", "nobody", "no body", "", "x" * 5000, "ä", "a\x00"]
    with mock.patch.object(passwords.CONTEXT, "verify", wraps=passwords.CONTEXT.verify) as verify:
        refusals = {refusal(name) for name in names}
    assert len(refusals) == 1
    assert verify.call_count == len(names)


def test_name_that_no_account_can_have_fills_no_row(household: Household) -> None:
    fail(household, "x" * 5000)
    assert list(failures(household)) == [address_subject(ADDRESS)]


def test_guesses_at_the_old_password_wait_as_sign_ins_do(household: Household) -> None:
    asking = household.accounts.authenticate(household.sign_in().access_token)
    for _ in range(FREE_FAILURES + 1):
        with pytest.raises(Forbidden):
            household.accounts.change_password(asking, WRONG, "another good one")
    household.pass_time(-LONG_S)
    with pytest.raises(TooManyAttempts):
        household.accounts.change_password(asking, PASSWORD, "another good one")


def test_nothing_sleeps_when_sign_ins_fail(household: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_seconds: float) -> None:
        raise AssertionError("slept")

    monkeypatch.setattr(time, "sleep", refuse)
    block(household)
    assert household.outcome("anna") == "too_many_attempts"


def test_success_leaves_the_failures_that_its_address_caused_on_other_accounts(household: Household) -> None:
    """Else whoever has an account guesses another's password without limit, signing in between."""
    for expected in (2, 4):
        fail(household)
        fail(household)
        assert household.outcome("ben") == "ok"
        assert address_failures(household) == expected
    fail(household)
    household.pass_time(-LONG_S)
    assert household.outcome("ben") == "too_many_attempts"
    assert household.outcome("anna") == "too_many_attempts"


def test_wait_of_an_address_grows_although_its_person_signs_in_between(household: Household) -> None:
    waits = []
    for _ in range(FREE_FAILURES + 10):
        fail(household)
        waits.append(wait_s(household, address_subject(ADDRESS)))
        household.pass_time(max(waits[-1], 5))
        assert household.outcome("ben") == "ok"
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300]


def test_success_forgets_its_own_account_s_failures_alone(household: Household) -> None:
    for name, address in (("ben", ADDRESS), ("ben", ADDRESS), ("anna", ADDRESS), ("ben", "100.64.0.8")):
        fail(household, name, address)
    assert household.outcome("ben") == "ok"
    assert address_failures(household) == 1
    assert address_failures(household, "100.64.0.8") == 1
    assert account_subject("ben") not in failures(household)
    assert household.outcome("anna") == "ok"
    assert address_failures(household) == 0


def test_failures_elsewhere_on_an_account_buy_its_address_nothing(household: Household) -> None:
    asking = household.accounts.authenticate(household.sign_in("ben").access_token)
    for _ in range(FREE_FAILURES):
        fail(household)
    for _ in range(FREE_FAILURES - 1):
        fail(household, "ben", "100.64.0.8")
    with pytest.raises(Forbidden):
        household.accounts.change_password(asking, WRONG, "another good one")
    assert household.outcome("ben") == "ok"
    assert address_failures(household) == FREE_FAILURES


def test_success_takes_nothing_off_that_was_forgotten_already(household: Household) -> None:
    for _ in range(3):
        fail(household, "ben")
    household.pass_time(3601)
    fail(household)
    assert household.outcome("ben") == "ok"
    assert address_failures(household) == 1


def test_success_through_the_socket_that_all_devices_share_forgets_its_failures(household: Household) -> None:
    for _ in range(FREE_FAILURES):
        fail(household, "anna", SHARED_ADDRESS)
    assert household.outcome("ben", PASSWORD, SHARED_ADDRESS) == "ok"
    assert address_failures(household, SHARED_ADDRESS) == 0


def test_nobody_locks_the_owner_out_by_guessing_from_many_addresses(household: Household) -> None:
    for number in range(30):
        fail(household, "anna", f"100.64.7.{number}")
        for name in ("ben", "nobody"):
            household.outcome(name, WRONG, f"100.64.7.{number}")
        with_wait = household.outcome("anna", PASSWORD, "100.64.3.1")
        assert with_wait in ("ok", "too_many_attempts")
        if with_wait == "too_many_attempts":
            household.pass_time(MAX_ACCOUNT_DELAY_S)
            assert household.outcome("anna", PASSWORD, "100.64.3.1") == "ok"
    assert failures(household)[account_subject("nobody")] > FREE_FAILURES
