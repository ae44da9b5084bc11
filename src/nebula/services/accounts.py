"""Accounts and sessions: signing in, staying signed in, and who a request comes from.

Nothing here sleeps: a client that has failed too often is refused and told how long to wait. A revocation is committed
before the error that reports it is raised. Passwords and tokens appear in no log and in no error.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from nebula.auth.passwords import Passwords
from nebula.auth.tokens import AccessTokens, RefreshSecret, new_jti, refresh_digest
from nebula.db import accounts, sessions
from nebula.db.database import Database, Tx
from nebula.db.sessions import Device, NewTokens
from nebula.db.work import jobs
from nebula.domain import credentials
from nebula.domain.records import Account, Principal, Session
from nebula.domain.states import Role
from nebula.domain.tokens import RefreshMove
from nebula.errors import Forbidden, NotFound, SignInRequired, TooManyAttempts
from nebula.services.session_cache import SessionCache

log = logging.getLogger(__name__)

DAY_S = 86400
MAX_USER_AGENT = 200


@dataclass(frozen=True)
class Tokens:
    """The result of a sign-in or a refresh."""

    access_token: str = field(repr=False)
    expires_in: int
    refresh_token: str = field(repr=False)
    session_id: str


class Accounts:
    """The use cases of accounts. There is one per process, because it remembers sessions for five seconds."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        access_tokens: AccessTokens,
        *,
        refresh_token_days: int,
        session_cache: SessionCache | None = None,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._access_tokens = access_tokens
        self._refresh_life_s = refresh_token_days * DAY_S
        self._session_cache = session_cache or SessionCache()

    # Signing in and out

    def login(self, name: str, password: str, *, address: str, user_agent: str) -> Tokens:
        """Open a session.

        Raises SignInRequired(code="wrong_credentials"), which is the same for an unknown name, a wrong password and a
        disabled account; TooManyAttempts with `retry_after_s`; Busy.
        """
        blocking = _blocking_subjects(name, address)
        account = self._database.read(lambda tx: _unblocked(tx, blocking, name))
        if not self._passwords.verify(password, account.password_hash if account else None):
            account = None
        secret, jti = RefreshSecret.make(), new_jti()
        device, counted = _device(address, user_agent), _counting_subjects(name, address)
        session = self._database.write(lambda tx: _signed_in(tx, account, device, counted, self._new(secret, jti)))
        if session is None:
            log.info("sign-in refused address=%s", address)
            raise SignInRequired("The name or the password is wrong.", code="wrong_credentials")
        return self._tokens(session, secret, jti)

    def refresh(self, refresh_token: str, *, address: str, user_agent: str) -> Tokens:
        """Exchange a refresh token for new tokens. This spends the refresh token.

        Raises SignInRequired: code "session_ended", or "token_reused" if a second use ended the whole session.
        """
        secret, jti = RefreshSecret.make(), new_jti()
        digest = refresh_digest(refresh_token)
        device = _device(address, user_agent)
        outcome = self._database.write(lambda tx: sessions.refresh(tx, digest, device, self._new(secret, jti)))
        if outcome.session is not None and outcome.move in {RefreshMove.ROTATE, RefreshMove.SIBLING}:
            return self._tokens(outcome.session, secret, jti)
        if outcome.session is not None and outcome.move is RefreshMove.REVOKE:
            self._session_cache.end([outcome.session.id])
            log.warning("refresh token used twice: session ended session=%s address=%s", outcome.session.id, address)
            raise SignInRequired("This session was used from two places and has ended; sign in.", code="token_reused")
        raise SignInRequired("This session has ended; sign in again.", code="session_ended")

    def logout(self, principal: Principal) -> None:
        """End the session that makes the request."""
        self._end(principal, principal.session_id)

    # Who is asking

    def authenticate(self, access_token: str) -> Principal:
        """Return the principal that an access token belongs to. Raises SignInRequired."""
        claims = self._access_tokens.read(access_token)
        if self._session_cache.has_seen(claims.jti):
            principal = self._principal_of(claims.session_id)
        else:
            principal = self._seen(claims.session_id, claims.jti)
        if principal is None or principal.account_id != claims.account_id:
            raise SignInRequired("This session has ended; sign in again.", code="session_ended")
        return principal

    def is_alive(self, session_id: str) -> bool:
        """Return whether a session is still alive. The answer is at most five seconds old."""
        return self._principal_of(session_id) is not None

    # What an account does for itself

    def sessions(self, principal: Principal) -> list[Session]:
        """Return the account's living sessions, the most recently used first."""
        return self._database.read(lambda tx: sessions.living(tx, principal.account_id))

    def revoke_session(self, principal: Principal, session_id: str) -> None:
        """End one of the account's sessions. Raises NotFound for any other session."""
        if not self._end(principal, session_id):
            raise NotFound("There is no such session.")

    def change_password(self, principal: Principal, old: str, new: str) -> None:
        """Give the account a new password and end its other sessions.

        Raises Forbidden(code="wrong_password"), InvalidInput(code="invalid_password") or TooManyAttempts.
        """
        subjects = [credentials.account_subject(principal.name)]
        account = self._database.read(lambda tx: _unblocked(tx, subjects, principal.name))
        if account is None or not self._passwords.verify(old, account.password_hash):
            self._database.write(lambda tx: accounts.note_failures(tx, subjects))
            raise Forbidden("The current password is wrong.", code="wrong_password")
        new_hash = self._passwords.hash(new)
        self._session_cache.end(self._database.write(lambda tx: _changed_by(tx, principal, account, new_hash)))

    # For the commands on the machine itself

    def has_accounts(self) -> bool:
        """Return whether any account exists."""
        return self._database.read(accounts.any_exists)

    def everyone(self) -> list[Account]:
        """Return every account, including disabled ones, in the order of their creation."""
        return self._database.read(accounts.everyone)

    def create_account(self, name: str, password: str, role: Role) -> Account:
        """Create an account. Raises InvalidInput, or Conflict(code="account_exists")."""
        credentials.checked_account_name(name)
        password_hash = self._passwords.hash(password)
        return self._database.write(lambda tx: accounts.add(tx, name, role, password_hash))

    def reset_password(self, name: str, password: str) -> None:
        """Give an account a new password and end all its sessions. Raises NotFound or InvalidInput."""
        account = self._named(name)
        new_hash = self._passwords.hash(password)
        self._session_cache.end(self._database.write(lambda tx: _changed(tx, account, new_hash)))

    def disable_account(self, name: str) -> None:
        """Disable an account. Its sessions, links and jobs end; its files stay. Raises NotFound."""
        account = self._named(name)
        self._session_cache.end(self._database.write(lambda tx: _disabled(tx, account)))

    def enable_account(self, name: str) -> None:
        """Enable a disabled account. Its ended sessions, links and jobs stay ended. Raises NotFound."""
        account = self._named(name)
        self._database.write(lambda tx: accounts.enable(tx, account.id))

    def _named(self, name: str) -> Account:
        account = self._database.read(lambda tx: _find(tx, name))
        if account is None:
            raise NotFound(f"There is no account named {name!r}.")
        return account

    def _end(self, principal: Principal, session_id: str) -> bool:
        has_ended = self._database.write(lambda tx: sessions.end(tx, principal.account_id, session_id))
        if has_ended:
            self._session_cache.end([session_id])
        return has_ended

    def _principal_of(self, session_id: str) -> Principal | None:
        return self._session_cache.find(
            session_id, lambda: self._database.read(lambda tx: sessions.principal_of(tx, session_id))
        )

    def _seen(self, session_id: str, jti: str) -> Principal | None:
        asked_at = self._session_cache.now()
        principal = self._database.write(lambda tx: sessions.see(tx, session_id, jti))
        # A token may be dead while its session is alive, so None says nothing about the session.
        if principal is None or self._session_cache.keep(session_id, principal, asked_at) is None:
            return None
        self._session_cache.note_seen(jti)
        return principal

    def _new(self, secret: RefreshSecret, jti: str) -> NewTokens:
        return NewTokens(digest=secret.digest, jti=jti, life_s=self._refresh_life_s)

    def _tokens(self, session: Session, secret: RefreshSecret, jti: str) -> Tokens:
        access_token = self._access_tokens.issue(session.account_id, session.id, jti)
        return Tokens(access_token, self._access_tokens.life_s, secret.text, session.id)


def _blocking_subjects(name: str, address: str) -> list[str]:
    """Return the subjects whose failures make a sign-in wait."""
    # A name that no account can have is not counted, so that rows keep a bounded length.
    account_subjects = [credentials.account_subject(name)] if credentials.may_be_account_name(name) else []
    return [credentials.address_subject(address), *account_subjects]


def _counting_subjects(name: str, address: str) -> list[str]:
    """Return the subjects that a failed sign-in is counted against."""
    guess_subjects = [credentials.guess_subject(address, name)] if credentials.may_be_account_name(name) else []
    return [*_blocking_subjects(name, address), *guess_subjects]


def _device(address: str, user_agent: str) -> Device:
    printable_text = "".join(character for character in user_agent if character.isprintable())
    return Device(address, printable_text[:MAX_USER_AGENT].strip() or "unknown")


def _find(tx: Tx, name: str) -> Account | None:
    return accounts.find_by_name(tx, name) if credentials.may_be_account_name(name) else None


def _unblocked(tx: Tx, subjects: list[str], name: str) -> Account | None:
    """Return the account of that name, or None if it may not sign in. Raises TooManyAttempts if blocked."""
    if wait_s := accounts.blocked_s(tx, subjects):
        raise TooManyAttempts(f"Too many failed sign-ins; try again in {wait_s} s.", retry_after_s=wait_s)
    account = _find(tx, name)
    return None if account is None or account.disabled_at is not None else account


def _signed_in(
    tx: Tx, account: Account | None, device: Device, counted: list[str], tokens: NewTokens
) -> Session | None:
    """Open a session if the password was right (`account` is set); otherwise count the failure and return None."""
    # The account may have changed while its password was hashed.
    if account is None or accounts.locked(tx, account.id) != account:
        accounts.note_failures(tx, counted)
        return None
    accounts.forget_own_failures(tx, device.address, account.name)
    if device.address == credentials.SHARED_ADDRESS:
        # Many people share this address: one person's failures must not make the others wait.
        accounts.clear_failures(tx, [credentials.address_subject(device.address)])
    return sessions.begin(tx, account.id, device, tokens)


def _changed(tx: Tx, account: Account, password_hash: str, *, but: str = "") -> list[str]:
    accounts.set_password(tx, account.id, password_hash)
    accounts.clear_failures(tx, [credentials.account_subject(account.name)])
    return sessions.end_all(tx, account.id, but=but)


def _changed_by(tx: Tx, principal: Principal, account: Account, password_hash: str) -> list[str]:
    # The password may have been reset on the machine while this one was hashed; do not overwrite it.
    if accounts.locked(tx, account.id) != account:
        raise SignInRequired("This session has ended; sign in again.", code="session_ended")
    return _changed(tx, account, password_hash, but=principal.session_id)


def _disabled(tx: Tx, account: Account) -> list[str]:
    accounts.disable(tx, account.id)
    jobs.cancel_of_account(tx, account.id)
    return sessions.end_all(tx, account.id)
