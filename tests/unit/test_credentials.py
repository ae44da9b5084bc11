"""Names, passwords and delays: the rules without a database."""

from __future__ import annotations

import pytest

from nebula.domain import credentials
from nebula.errors import InvalidInput


@pytest.mark.parametrize("name", ["a", "anna", "Anna.B-c_9", "x" * 64, "-", "..."])
def test_account_name_is_taken_when_it_has_plain_characters(name: str) -> None:
    assert credentials.checked_account_name(name) == name


@pytest.mark.parametrize("name", ["", "x" * 65, "a b", "a/b", "ä", "a\n", "a\x00", "a:b", "٣", "a@b"])
def test_account_name_is_refused_when_it_has_any_other(name: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        credentials.checked_account_name(name)
    assert raised.value.code == "invalid_account_name"


@pytest.mark.parametrize("password", ["12345678", "x" * 1024, "pässwörd", "        ", "日本語の合言葉です"])
def test_password_is_taken_when_its_length_fits(password: str) -> None:
    assert credentials.checked_password(password)


@pytest.mark.parametrize("password", ["", "1234567", "x" * 1025, "12345678\x00", "12345678\ud800"])
def test_password_is_refused_when_it_cannot_be_one(password: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        credentials.checked_password(password)
    assert raised.value.code == "invalid_password"
    assert password == "" or password not in raised.value.message


def test_address_delay_doubles_up_to_five_minutes_when_failures_go_on() -> None:
    delays = [credentials.delay_s("address:100.64.0.7", failures) for failures in range(1, 16)]
    assert delays == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert credentials.delay_s("address:100.64.0.7", 10**9) == 300


def test_account_delay_stays_at_five_seconds_when_failures_go_on() -> None:
    delays = [credentials.delay_s("account:anna", failures) for failures in [*range(1, 10), 10**9]]
    assert delays == [0, 0, 0, 0, 1, 2, 4, 5, 5, 5]
