"""Authentication by bearer token, before any responder. A resource needs one unless it has `public = True`."""

from __future__ import annotations

from typing import Any

import falcon

from nebula.domain.records import Principal
from nebula.errors import Forbidden, SignInRequired
from nebula.services.accounts import Accounts


class Authentication:
    """Middleware: sets `req.context.principal`, or refuses the request.

    A resource with `public = True` is open to everyone; one with `owner_only = True` is only for owners.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def process_resource(
        self, req: falcon.Request, _resp: falcon.Response, resource: object, _params: dict[str, Any]
    ) -> None:
        """Authenticate a request to an existing resource. Raises SignInRequired or Forbidden."""
        if getattr(resource, "public", False):
            return
        principal = self._accounts.authenticate(_bearer(req))
        if getattr(resource, "owner_only", False):
            _check_owner(principal)
        req.context.principal = principal


def _bearer(req: falcon.Request) -> str:
    """Return the request's bearer token (RFC 6750 2.1). A token in the query is ignored."""
    scheme, _, token = (req.get_header("Authorization") or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise SignInRequired("Sign in first: nebula login.")
    return token.strip()


def _check_owner(principal: Principal) -> None:
    if not principal.is_owner:
        raise Forbidden("Only the owner may do this.", code="owner_only")
