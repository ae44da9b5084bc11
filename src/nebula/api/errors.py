"""Problems: one table maps Nebula's errors to HTTP (RFC 9457 problem details with a stable `code`)."""

from __future__ import annotations

import json
import logging
import re
from http import HTTPStatus
from typing import Any

import falcon

from nebula import errors

log = logging.getLogger(__name__)

STATUS: dict[type[errors.NebulaError], int] = {
    errors.InvalidInput: 400,
    errors.SignInRequired: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.ObjectNotFound: 404,
    errors.Gone: 410,
    errors.Conflict: 409,
    errors.Superseded: 409,
    errors.ObjectChanged: 409,
    errors.PreconditionFailed: 412,
    errors.StalledBody: 408,
    errors.IncompleteBody: 400,
    errors.TooLarge: 413,
    errors.DigestMismatch: 400,
    errors.ChecksumMismatch: 460,  # tus 1.0.0, checksum extension
    errors.TooManyAttempts: 429,
    errors.Busy: 503,
    errors.StoreUnavailable: 503,
    errors.NoRoom: 507,
}
RETRY_AFTER_S = 5


def install(app: falcon.App[Any, Any]) -> None:
    """Make `app` answer every error with a problem."""
    app.add_error_handler(Exception, _unexpected)
    app.add_error_handler(errors.NebulaError, _nebula_error)
    app.add_error_handler(falcon.HTTPError, _http_error)


def write_problem(resp: falcon.Response, status: int, code: str, detail: str, **more: Any) -> None:
    """Fill `resp` with a problem. `more` are extension members (RFC 9457 3.2)."""
    title = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Error"
    problem = {"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail, **more}
    resp.status = status
    resp.content_type = "application/problem+json"
    resp.set_header("Cache-Control", "no-store")
    resp.text = json.dumps(problem)


def _nebula_error(req: falcon.Request, resp: falcon.Response, error: errors.NebulaError, _params: Any) -> None:
    status = _status(error)
    if status >= 500:
        log.warning("refused method=%s path=%s code=%s", req.method, _shown_path(req), error.code)
    details = dict(error.details)
    if status in {429, 503} or "retry_after_s" in details:
        retry_after = details.pop("retry_after_s", RETRY_AFTER_S)
        resp.set_header("Retry-After", str(retry_after))
    if status == 401:
        resp.set_header("WWW-Authenticate", "Bearer")
    write_problem(resp, status, error.code, error.message, **details)
    _close_after_unread_body(req, resp)


def _http_error(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, _params: Any) -> None:
    status = int(str(error.status).split(" ", 1)[0])
    # Use the name of Falcon's class (HTTPMethodNotAllowed): http.HTTPStatus renames members between Python versions.
    code = re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__.removeprefix("HTTP")).lower()
    resp.set_headers(dict(error.headers or {}))
    write_problem(resp, status, code, error.description or error.title or code)
    _close_after_unread_body(req, resp)


def _unexpected(req: falcon.Request, resp: falcon.Response, error: Exception, _params: Any) -> None:
    log.error("unexpected method=%s path=%s", req.method, _shown_path(req), exc_info=error)
    write_problem(resp, 500, "internal", "Nebula made a mistake; its journal has the details.")
    _close_after_unread_body(req, resp)


def _status(error: errors.NebulaError) -> int:
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return 500


def _shown_path(req: falcon.Request) -> str:
    # The token of a link is a credential, so it must not be logged.
    return "/s/..." if req.path.startswith("/s/") else req.path


def _close_after_unread_body(req: falcon.Request, resp: falcon.Response) -> None:
    # If a request was refused before its body was read, the body must not be read as the next request.
    if req.method in {"POST", "PUT", "PATCH"} and (req.content_length or req.env.get("wsgi.input_terminated")):
        resp.set_header("Connection", "close")
