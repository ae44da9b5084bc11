"""An Accounts service over a test's database, with time that passes when the test says so."""

from __future__ import annotations

import secrets
from datetime import timedelta

from nebula.auth.passwords import Passwords
from nebula.auth.tokens import AccessTokens
from nebula.db.database import Database, Tx
from nebula.domain.states import Role
from nebula.errors import NebulaError
from nebula.services.accounts import Accounts, Tokens
from nebula.services.session_cache import SessionCache
from tests.people import remembering_passwords

PASSWORD = "correct horse battery staple"
ADDRESS = "100.64.0.7"


class Household:
    """`accounts` has anna (owner) and ben (member); `another_process` is a second gateway on the same database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.keys = [secrets.token_urlsafe(32)]
        self.accounts = self.another_process()
        creator = self._accounts(remembering_passwords())
        self.anna = creator.create_account("anna", PASSWORD, Role.OWNER)
        self.ben = creator.create_account("ben", PASSWORD, Role.MEMBER)

    def another_process(self, session_cache: SessionCache | None = None) -> Accounts:
        return self._accounts(Passwords(), session_cache)

    def _accounts(self, passwords: Passwords, session_cache: SessionCache | None = None) -> Accounts:
        access_tokens = AccessTokens(self.keys, minutes=15)
        return Accounts(self.database, passwords, access_tokens, refresh_token_days=30, session_cache=session_cache)

    def sign_in(self, name: str = "anna", password: str = PASSWORD, address: str = ADDRESS) -> Tokens:
        return self.accounts.login(name, password, address=address, user_agent="test/1")

    def refresh(self, tokens: Tokens) -> Tokens:
        return self.accounts.refresh(tokens.refresh_token, address=ADDRESS, user_agent="test/1")

    def outcome(self, name: str, password: str = PASSWORD, address: str = ADDRESS) -> str:
        """Sign in and say what came of it: "ok", or the refusal's code."""
        try:
            self.sign_in(name, password, address)
        except NebulaError as error:
            return error.code
        return "ok"

    def may_ask(self, tokens: Tokens) -> bool:
        """Whether the access token opens anything."""
        try:
            self.accounts.authenticate(tokens.access_token)
        except NebulaError:
            return False
        return True

    def may_refresh(self, tokens: Tokens) -> bool:
        try:
            self.refresh(tokens)
        except NebulaError:
            return False
        return True

    def pass_time(self, seconds: float) -> None:
        """Move every time of sessions, tokens and failures back: for the database's clock, that much has passed."""

        def move(tx: Tx) -> None:
            for entity in (tx.e.Session, tx.e.RefreshToken, tx.e.LoginFailure):
                for row in list(entity.select()):
                    times = {name: value for name, value in row.to_dict().items() if isinstance(value, type(tx.now))}
                    row.set(**{name: value - timedelta(seconds=seconds) for name, value in times.items()})

        self.database.write(move)
