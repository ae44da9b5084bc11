"""The three people of every endpoint: the owner, another account of the household, and nobody we know."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from falcon import testing

from nebula.auth.passwords import Passwords
from nebula.auth.tokens import AccessTokens
from nebula.config import Settings
from nebula.db.database import Database
from nebula.domain.records import Principal
from nebula.domain.states import Role
from nebula.services.accounts import Accounts

PASSWORD = "correct horse battery staple"


class RememberingPasswords(Passwords):
    """Hashes each password once in a process: most tests make the same two accounts, and a hash is costly by design."""

    def __init__(self) -> None:
        super().__init__()
        self.hash = functools.cache(super().hash)  # type: ignore[method-assign]


remembering_passwords = functools.cache(RememberingPasswords)


class Person:
    """Makes requests as somebody. `get`, `put`, ... take a path and what falcon.testing's simulate_request takes."""

    def __init__(self, client: testing.TestClient, name: str | None = None) -> None:
        self.client = client
        self.name = name
        self.password = PASSWORD

    @cached_property
    def tokens(self) -> dict[str, Any]:
        """The answer to signing in, which happens at the first request."""
        given = {"username": self.name, "password": self.password}
        answer = self.client.simulate_post("/api/v1/auth/login", json=given)
        assert answer.status_code == 200, answer.text
        return answer.json

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens['access_token']}"} if self.name else {}

    @cached_property
    def principal(self) -> Principal:
        """Who the services see when this person asks."""
        found = self.get("/api/v1/auth/whoami").json
        return Principal(found["account_id"], found["name"], Role(found["role"]), found["session_id"])

    @property
    def account_id(self) -> str:
        return self.principal.account_id

    def request(self, method: str, path: str, **options: Any) -> testing.Result:
        headers = self.headers | (options.pop("headers", None) or {})
        return self.client.simulate_request(method, path, headers=headers, **options)

    def get(self, path: str, **options: Any) -> testing.Result:
        return self.request("GET", path, **options)

    def head(self, path: str, **options: Any) -> testing.Result:
        return self.request("HEAD", path, **options)

    def post(self, path: str, **options: Any) -> testing.Result:
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> testing.Result:
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> testing.Result:
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> testing.Result:
        return self.request("DELETE", path, **options)


@dataclass(frozen=True)
class People:
    owner: Person
    member: Person
    anonymous: Person


def make_people(settings: Settings, client: testing.TestClient) -> People:
    """Make the two accounts at the machine, as nebula-server does; who signs in does so over HTTP."""
    database = Database(settings.database_url, threads=1)
    access_tokens = AccessTokens(settings.secret_keys, minutes=settings.access_token_minutes)
    accounts = Accounts(
        database, remembering_passwords(), access_tokens, refresh_token_days=settings.refresh_token_days
    )
    accounts.create_account("owner", PASSWORD, Role.OWNER)
    accounts.create_account("member", PASSWORD, Role.MEMBER)
    database.close()
    return People(Person(client, "owner"), Person(client, "member"), Person(client))
