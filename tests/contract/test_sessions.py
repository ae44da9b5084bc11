"""Staying signed in, on both databases: rotation, reuse, lost answers, revocation, age."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from nebula.auth.tokens import AccessTokens, refresh_digest
from nebula.db import accounts as account_rows
from nebula.db.database import Database, Tx
from nebula.domain.records import Principal
from nebula.domain.states import Role
from nebula.errors import Conflict, Forbidden, InvalidInput, NotFound, SignInRequired
from nebula.services.accounts import Tokens
from nebula.services.session_cache import SessionCache
from tests.household import ADDRESS, PASSWORD, Household

DAY_S = 86400


@pytest.fixture
def household(database: Database) -> Household:
    return Household(database)


def principal(household: Household, tokens: Tokens) -> Principal:
    return household.accounts.authenticate(tokens.access_token)


def count(household: Household, entity: str) -> int:
    return household.database.read(lambda tx: len(list(getattr(tx.e, entity).select())))


# Refreshing


def test_refresh_gives_new_tokens_of_the_same_session(household: Household) -> None:
    first = household.sign_in()
    second = household.refresh(first)
    assert second.session_id == first.session_id
    assert second.refresh_token != first.refresh_token
    assert principal(household, second) == Principal(household.anna.id, "anna", Role.OWNER, first.session_id)
    assert second.expires_in == 15 * 60


def test_refresh_token_is_stored_only_as_its_digest(household: Household) -> None:
    tokens = household.sign_in()
    rows = household.database.read(lambda tx: [row.to_dict() for row in tx.e.RefreshToken.select()])
    assert [row["digest"] for row in rows] == [refresh_digest(tokens.refresh_token)]
    assert tokens.refresh_token not in str(rows)


def test_refresh_revokes_family_when_token_is_reused_after_its_successor_was_spent(
    household: Household, caplog: pytest.LogCaptureFixture
) -> None:
    first = household.sign_in()
    second = household.refresh(first)
    third = household.refresh(second)
    with caplog.at_level(logging.INFO), pytest.raises(SignInRequired) as raised:
        household.refresh(first)
    assert raised.value.code == "token_reused"
    assert not household.may_refresh(third)
    assert not household.may_ask(third)
    assert first.session_id in caplog.text
    for tokens in (first, second, third):
        assert tokens.refresh_token not in caplog.text
        assert tokens.access_token not in caplog.text


def test_refresh_revokes_family_when_token_is_reused_after_its_successors_access_token_was_seen(
    household: Household,
) -> None:
    first = household.sign_in()
    second = household.refresh(first)
    assert household.may_ask(second)
    assert not household.may_refresh(first)
    assert not household.may_refresh(second)


def test_refresh_revokes_family_when_the_access_token_was_seen_by_another_process(household: Household) -> None:
    first = household.sign_in()
    second = household.refresh(first)
    household.another_process().authenticate(second.access_token)
    assert not household.may_refresh(first)
    assert not household.may_refresh(second)


def test_refresh_leaves_other_families_alone_when_it_revokes_one(household: Household) -> None:
    first, other = household.sign_in(), household.sign_in()
    household.refresh(household.refresh(first))
    assert not household.may_refresh(first)
    assert household.may_refresh(other)


def test_refresh_gives_a_sibling_when_the_answer_was_lost(household: Household) -> None:
    first = household.sign_in()
    household.may_ask(first)
    for _ in range(4):
        last = household.refresh(first)
    assert household.may_ask(last)
    assert household.may_refresh(last)


def test_successor_is_dead_when_a_sibling_took_its_place(household: Household) -> None:
    first = household.sign_in()
    lost = household.refresh(first)
    sibling = household.refresh(first)
    assert not household.may_ask(lost)
    assert not household.may_refresh(lost)
    assert household.may_ask(sibling)
    assert household.may_refresh(sibling)


def test_refresh_revokes_family_when_the_dead_one_comes_after_its_sibling_was_used(household: Household) -> None:
    first = household.sign_in()
    dead = household.refresh(first)
    sibling = household.refresh(first)
    assert household.may_ask(sibling)
    assert not household.may_refresh(dead)
    assert not household.may_refresh(sibling)


def test_two_refreshes_at_once_leave_one_of_them_signed_in(household: Household) -> None:
    for _ in range(5):
        first = household.sign_in()
        start = threading.Barrier(2)

        def refresh(tokens: Tokens, start: threading.Barrier) -> Tokens:
            start.wait(30)
            return household.refresh(tokens)

        with ThreadPoolExecutor(2) as threads:
            answers = list(threads.map(refresh, [first, first], [start, start]))
        assert sorted(household.may_refresh(answer) for answer in answers) == [False, True]


def test_refresh_refuses_when_the_token_is_unknown(household: Household) -> None:
    for token in ("", "x", "A" * 43, "é" * 10_000, "' OR 1=1 --"):
        with pytest.raises(SignInRequired) as raised:
            household.accounts.refresh(token, address=ADDRESS, user_agent="")
        assert raised.value.code == "session_ended"


# Age


def test_session_lives_thirty_days_from_its_last_use(household: Household) -> None:
    tokens = household.sign_in()
    for _ in range(3):
        household.pass_time(29 * DAY_S)
        tokens = household.refresh(tokens)
    household.pass_time(30 * DAY_S + 1)
    assert not household.may_refresh(tokens)
    assert household.accounts.sessions(Principal(household.anna.id, "anna", Role.OWNER, "")) == []


def test_access_token_opens_nothing_when_its_session_has_expired(household: Household) -> None:
    tokens = household.sign_in()
    household.pass_time(30 * DAY_S + 1)
    assert not household.may_ask(tokens)


def test_tidy_keeps_what_can_still_be_used_and_removes_the_rest(household: Household) -> None:
    living = household.sign_in()
    spent, living = living, household.refresh(living)
    ended = household.sign_in()
    household.accounts.logout(principal(household, ended))
    household.outcome("anna", "wrong guess")
    household.database.write(account_rows.tidy)
    assert (count(household, "Session"), count(household, "RefreshToken")) == (2, 2)
    assert count(household, "LoginFailure") == 3  # of the address, of the account, and of the one at the other
    household.pass_time(2 * DAY_S)
    household.database.write(account_rows.tidy)
    assert (count(household, "Session"), count(household, "RefreshToken")) == (1, 2)
    assert count(household, "LoginFailure") == 0
    assert household.may_ask(living)
    assert not household.may_refresh(spent), "a spent token is still known as spent"


def test_tidy_removes_everything_when_all_has_expired(household: Household) -> None:
    household.refresh(household.sign_in())
    household.pass_time(32 * DAY_S)
    household.database.write(account_rows.tidy)
    assert (count(household, "Session"), count(household, "RefreshToken")) == (0, 0)


# Who is asking


def test_arrival_of_an_access_token_is_written_once_when_it_comes_again(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = household.sign_in()
    household.may_ask(tokens)

    def refuse(_work: object) -> None:
        raise AssertionError("a second write")

    monkeypatch.setattr(household.database, "write", refuse)
    assert all(household.may_ask(tokens) for _ in range(5))


def test_access_token_is_refused_within_five_seconds_when_another_process_ended_its_session(
    household: Household,
) -> None:
    moment = [0.0]
    elsewhere = household.another_process(SessionCache(lambda: moment[0]))
    tokens = household.sign_in()
    asking = elsewhere.authenticate(tokens.access_token)
    household.accounts.logout(asking)
    assert not household.may_ask(tokens), "this process knows at once"
    moment[0] = 5.0
    with pytest.raises(SignInRequired):
        elsewhere.authenticate(tokens.access_token)
    assert not elsewhere.is_alive(tokens.session_id)


def test_access_token_is_refused_when_its_account_is_not_its_sessions(household: Household) -> None:
    tokens = household.sign_in("ben")
    (jti,) = household.database.read(lambda tx: [row.jti for row in tx.e.RefreshToken.select()])
    mixed = AccessTokens(household.keys, minutes=15).issue(household.anna.id, tokens.session_id, jti)
    with pytest.raises(SignInRequired):
        household.accounts.authenticate(mixed)


def test_access_token_is_refused_when_its_id_is_of_another_session(household: Household) -> None:
    first, second = household.sign_in(), household.sign_in()
    jtis = household.database.read(lambda tx: {row.session.id: row.jti for row in tx.e.RefreshToken.select()})
    mixed = AccessTokens(household.keys, minutes=15).issue(household.anna.id, first.session_id, jtis[second.session_id])
    with pytest.raises(SignInRequired):
        household.accounts.authenticate(mixed)


def test_session_is_alive_until_it_ends(household: Household) -> None:
    tokens = household.sign_in()
    assert household.accounts.is_alive(tokens.session_id)
    household.accounts.logout(principal(household, tokens))
    assert not household.accounts.is_alive(tokens.session_id)
    assert not household.accounts.is_alive("00000000-0000-0000-0000-000000000000")


# Sessions


def test_sessions_are_listed_with_the_last_used_first(household: Household) -> None:
    first, second = household.sign_in(), household.sign_in()
    household.sign_in("ben")
    household.pass_time(60)
    first = household.refresh(first)
    listed = household.accounts.sessions(principal(household, first))
    assert [session.id for session in listed] == [first.session_id, second.session_id]
    assert listed[0].last_used_at - listed[0].created_at >= timedelta(seconds=60)
    assert (listed[0].address, listed[0].user_agent) == (ADDRESS, "test/1")


def test_session_shows_a_harmless_name_of_its_device(household: Household) -> None:
    agent = "evil\x1b[2J\n" + "x" * 500
    tokens = household.accounts.login("anna", PASSWORD, address=ADDRESS, user_agent=agent)
    (session,) = household.accounts.sessions(principal(household, tokens))
    assert session.user_agent == "evil[2J" + "x" * 193


def test_session_of_another_account_cannot_be_revoked(household: Household) -> None:
    anna, ben = household.sign_in("anna"), household.sign_in("ben")
    for session_id in (anna.session_id, "00000000-0000-0000-0000-000000000000"):
        with pytest.raises(NotFound):
            household.accounts.revoke_session(principal(household, ben), session_id)
    assert household.may_ask(anna)


def test_session_ends_when_another_of_its_account_revokes_it(household: Household) -> None:
    one, other = household.sign_in(), household.sign_in()
    assert household.may_ask(other)
    household.accounts.revoke_session(principal(household, one), other.session_id)
    assert not household.may_ask(other)
    assert not household.may_refresh(other)
    assert household.may_refresh(one)
    with pytest.raises(NotFound):
        household.accounts.revoke_session(principal(household, household.sign_in()), other.session_id)


# Passwords


def test_change_of_the_password_ends_every_other_session(household: Household) -> None:
    here, there, bens = household.sign_in(), household.sign_in(), household.sign_in("ben")
    household.accounts.change_password(principal(household, here), PASSWORD, "another good one")
    assert household.may_ask(here)
    assert household.may_refresh(here)
    assert not household.may_ask(there)
    assert not household.may_refresh(there)
    assert household.may_ask(bens)
    assert household.outcome("anna") == "wrong_credentials"
    assert household.outcome("anna", "another good one") == "ok"


def test_password_stays_when_the_old_one_is_wrong(household: Household) -> None:
    here, there = household.sign_in(), household.sign_in()
    with pytest.raises(Forbidden) as raised:
        household.accounts.change_password(principal(household, here), "a wrong guess", "another good one")
    assert raised.value.code == "wrong_password"
    assert household.may_ask(there)
    assert household.outcome("anna") == "ok"


def test_password_stays_when_the_new_one_is_too_short(household: Household) -> None:
    here, there = household.sign_in(), household.sign_in()
    with pytest.raises(InvalidInput) as raised:
        household.accounts.change_password(principal(household, here), PASSWORD, "short")
    assert raised.value.code == "invalid_password"
    assert household.may_ask(there)


def test_reset_of_the_password_ends_every_session(household: Household) -> None:
    tokens = household.sign_in()
    household.accounts.reset_password("anna", "another good one")
    assert not household.may_ask(tokens)
    assert not household.may_refresh(tokens)
    assert household.outcome("anna", "another good one") == "ok"
    with pytest.raises(NotFound):
        household.accounts.reset_password("nobody", "another good one")


def test_sign_in_is_refused_when_the_password_is_reset_while_it_is_hashed(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever knows the old password keeps a session that the reset was to end."""
    accounts = household.another_process()
    verify = accounts._passwords.verify

    def slow(password: str, password_hash: str | None) -> bool:
        fits = verify(password, password_hash)
        household.accounts.reset_password("anna", "another good one")
        return fits

    monkeypatch.setattr(accounts._passwords, "verify", slow)
    with pytest.raises(SignInRequired):
        accounts.login("anna", PASSWORD, address=ADDRESS, user_agent="")


# Accounts


def test_first_account_is_missed_until_there_is_one(database: Database) -> None:
    assert not Household.another_process(_Bare(database)).has_accounts()
    assert Household(database).accounts.has_accounts()


def test_account_is_made_once_when_its_name_is_taken(household: Household) -> None:
    with pytest.raises(Conflict) as raised:
        household.accounts.create_account("anna", PASSWORD, Role.MEMBER)
    assert raised.value.code == "account_exists"
    with pytest.raises(InvalidInput):
        household.accounts.create_account("an na", PASSWORD, Role.MEMBER)
    with pytest.raises(InvalidInput):
        household.accounts.create_account("carl", "short", Role.MEMBER)
    assert count(household, "Account") == 2


def test_account_is_made_once_when_two_ask_at_the_same_time(household: Household) -> None:
    start = threading.Barrier(2)

    def create(number: int) -> bool:
        start.wait(30)
        try:
            household.accounts.create_account("carl", PASSWORD + str(number), Role.MEMBER)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(create, range(2))) == [False, True]


def test_disabled_account_loses_its_sessions_and_links_and_cannot_sign_in(household: Household) -> None:
    bens, annas = household.sign_in("ben"), household.sign_in("anna")
    household.may_ask(bens)
    household.database.write(lambda tx: _link(tx, household.ben.id))
    household.accounts.disable_account("ben")
    assert not household.may_ask(bens)
    assert not household.may_refresh(bens)
    assert household.outcome("ben") == "wrong_credentials"
    assert household.may_ask(annas)
    rows = household.database.read(lambda tx: [link.revoked_at for link in tx.e.Link.select()])
    assert all(rows)
    assert count(household, "File") == 1
    with pytest.raises(NotFound):
        household.accounts.disable_account("nobody")


def test_account_that_is_opened_again_signs_in_anew_and_gets_nothing_back(household: Household) -> None:
    bens = household.sign_in("ben")
    household.database.write(lambda tx: _link(tx, household.ben.id))
    household.accounts.disable_account("ben")
    household.accounts.enable_account("ben")
    assert household.may_ask(household.sign_in("ben"))
    assert not household.may_ask(bens)
    assert all(household.database.read(lambda tx: [link.revoked_at for link in tx.e.Link.select()]))
    with pytest.raises(NotFound):
        household.accounts.enable_account("nobody")


class _Bare(Household):
    """A household nobody lives in yet."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.keys = ["k" * 32]


def _link(tx: Tx, account_id: str) -> None:
    content = tx.e.Content(
        id="content",
        account=account_id,
        sha256="0" * 64,
        size_bytes=1,
        object_key="originals/x",
        media_type="text/plain",
        state="stored",
        web_ready=False,
        created_at=tx.now,
    )
    file = tx.e.File(
        id="file",
        content=content,
        account_id=account_id,
        name="x",
        media_type="text/plain",
        visibility="household",
        created_at=tx.now,
        updated_at=tx.now,
    )
    times = {"created_at": tx.now, "expires_at": tx.after(60)}
    tx.e.Link(id="link", digest="d", account_id=account_id, file=file, quality="original", **times)
