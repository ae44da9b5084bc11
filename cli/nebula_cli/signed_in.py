"""Requests of a signed-in account. Each carries a fresh access token.

Tokens are renewed under a lock that all processes of this user share.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import urllib3

from nebula_cli import credentials as kept
from nebula_cli.client import V1, Answer, Server, checked, server_url
from nebula_cli.credentials import Credentials, Keyring
from nebula_cli.errors import SignInAgain, Unreachable

PAGE = 200
MAX_PAGES = 100_000


class SignedIn:
    """The API as the signed-in account sees it. Paths are relative to /api/v1."""

    def __init__(self, keyring: Keyring | None = None) -> None:
        self.keyring = keyring or Keyring()
        self.server = Server(server_url(self.keyring.server()))
        self._credentials = self.keyring.get(self.server.url)

    @property
    def username(self) -> str:
        """The name of the account that is signed in."""
        return self._credentials.username

    @property
    def session_id(self) -> str:
        """The id of this device's session."""
        return self._credentials.session_id

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the object at `path`."""
        return self.request("GET", path, query=query).json()

    def send(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Send a JSON body; return the answer's object, or an empty one if the answer has no body."""
        answer = self.request(method, path, json_body=body)
        return answer.json() if answer.body else {}

    def items(self, path: str, query: Mapping[str, str] | None = None, *, page: int = PAGE) -> Iterator[dict[str, Any]]:
        """Yield the items of a listing, fetching one page after another."""
        parameters = {**(query or {}), "limit": str(page)}
        for _ in range(MAX_PAGES):
            listing = self.get(path, parameters)
            yield from objects(listing["items"])
            cursor = listing.get("next_cursor")
            if not cursor:
                return
            parameters["cursor"] = str(cursor)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        json_body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request; renew the access token once if it is refused. Raises CliError if the status is not 2xx.

        A 304 is returned too if `headers` contains If-None-Match.
        """
        for attempt in (1, 2):
            token = self.access_token()
            answer = self.server.request(
                method, V1 + path, query=query, json_body=json_body, headers={**(headers or {}), **_bearer(token)}
            )
            if answer.status != 401 or attempt == 2:
                break
            self.renew(token)
        if answer.status == 304 and "If-None-Match" in (headers or {}):
            return answer
        return checked(answer, self.server)

    def send_once(
        self, method: str, path: str, headers: Mapping[str, str], body: Iterable[bytes] | None = None
    ) -> Answer:
        """Send a body that cannot be sent twice; return the answer, whatever its status. `path` is absolute."""
        all_headers = {**headers, **_bearer(self.access_token())}
        return self.server.request(method, path, headers=all_headers, body=body)

    def stream(self, path: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """GET a body to be read piece by piece; renew the access token once if it is refused."""
        token = self.access_token()
        response = self.server.stream(V1 + path, {**headers, **_bearer(token)})
        if response.status == 401:
            response.drain_conn()
            response = self.server.stream(V1 + path, {**headers, **_bearer(self.renew(token))})
        return response

    def access_token(self) -> str:
        """Return a token that is valid for the next request."""
        if not self._credentials.is_fresh():
            return self.renew(self._credentials.access_token)
        return self._credentials.access_token

    def renew(self, spent: str) -> str:
        """Return an access token other than `spent`: one that another process obtained, or a new one.

        Raises SignInAgain if the server ended the session. No other error changes the credentials, because a refresh
        can be sent again if its answer was lost.
        """
        with self.keyring.locked():
            credentials = self.keyring.get(self.server.url)
            if credentials.access_token == spent or not credentials.is_fresh():
                credentials = self._refreshed(credentials)
            self._credentials = credentials
        return credentials.access_token

    def _refreshed(self, old: Credentials) -> Credentials:
        answer = self.server.request("POST", f"{V1}/auth/refresh", json_body={"refresh_token": old.refresh_token})
        if answer.status in {401, 403} and "json" in answer.headers.get("Content-Type", ""):
            self.keyring.drop(self.server.url)
            raise SignInAgain(f"The session has ended; sign in again: {kept.login_command(self.server.url)}")
        new = kept.from_tokens(old.username, checked(answer, self.server).json())
        self.keyring.store(self.server.url, new)
        return new


def forget(keyring: Keyring, server: str) -> None:
    """Remove this machine's session at `server` from the credentials file."""
    with keyring.locked():
        keyring.drop(server)


def objects(items: Any) -> list[dict[str, Any]]:
    """Return a listing's items. Raises Unreachable if they are not a list of objects."""
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Unreachable("What answers there is not Nebula (its listing holds no items); see nebula ping")
    return items


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
