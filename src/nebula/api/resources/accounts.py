"""Sign in and out, passwords, sessions. Answers that contain tokens must not be cached (`no-store`)."""

from __future__ import annotations

import falcon

from nebula.api.listings import write_listing
from nebula.api.objects import SESSION, TOKENS, WHOAMI
from nebula.api.requests import JsonBodies, path_id, principal
from nebula.domain.credentials import SHARED_ADDRESS
from nebula.services.accounts import Accounts, Tokens


class Login:
    """`POST /auth/login`."""

    public = True

    def __init__(self, accounts: Accounts, bodies: JsonBodies) -> None:
        self._accounts = accounts
        self._bodies = bodies

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        credentials = self._bodies.read(req, username=str, password=str)
        _write_tokens(resp, self._accounts.login(credentials["username"], credentials["password"], **_device(req)))


class Refresh:
    """`POST /auth/refresh`."""

    public = True

    def __init__(self, accounts: Accounts, bodies: JsonBodies) -> None:
        self._accounts = accounts
        self._bodies = bodies

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        values = self._bodies.read(req, refresh_token=str)
        _write_tokens(resp, self._accounts.refresh(values["refresh_token"], **_device(req)))


class Logout:
    """`POST /auth/logout`: ends the session that sent the request."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._accounts.logout(principal(req))
        resp.status = falcon.HTTP_204


class Password:
    """`POST /auth/password`: changes the password and ends every other session of the account."""

    def __init__(self, accounts: Accounts, bodies: JsonBodies) -> None:
        self._accounts = accounts
        self._bodies = bodies

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        passwords = self._bodies.read(req, old_password=str, new_password=str)
        self._accounts.change_password(principal(req), passwords["old_password"], passwords["new_password"])
        resp.status = falcon.HTTP_204


class WhoAmI:
    """`GET /auth/whoami`."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        requester = principal(req)
        resp.set_header("Cache-Control", "no-store")
        resp.media = WHOAMI.json(requester)


class Sessions:
    """`GET /auth/sessions` and `DELETE /auth/sessions/{id}`: only the sessions of the account itself."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        requester = principal(req)
        items = [
            SESSION.json(session, current=session.id == requester.session_id)
            for session in self._accounts.sessions(requester)
        ]
        write_listing(req, resp, items, None)

    def on_delete_one(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        self._accounts.revoke_session(principal(req), path_id(session_id))
        resp.status = falcon.HTTP_204


def _write_tokens(resp: falcon.Response, tokens: Tokens) -> None:
    resp.set_header("Cache-Control", "no-store")
    resp.media = TOKENS.json(tokens)


def _device(req: falcon.Request) -> dict[str, str]:
    return {"address": req.remote_addr or SHARED_ADDRESS, "user_agent": req.user_agent or ""}
