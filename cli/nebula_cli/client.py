"""HTTP to one gateway: sends requests, reads answers, and turns the server's problems into the client's errors."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import urllib3
from urllib3 import exceptions

from nebula_cli import __version__, output
from nebula_cli.errors import CliError, NotFound, Refused, SignInAgain, Unreachable, UsageError

V1 = "/api/v1"
DEFAULT_PORT = 8420
MAX_DETAIL = 1000
CONNECT_S = 10.0
ANSWER_S = 60.0
# urllib3 applies the connect timeout while it sends a body: this is the time limit for each piece.
SEND_S = 30.0


class Members(dict[str, Any]):
    """A JSON object of the API. A missing member means that it was not Nebula that answered, and raises Unreachable."""

    def __missing__(self, name: str) -> Any:
        raise Unreachable(f"What answers there is not Nebula (no {output.clean(str(name))!r}); see nebula ping")


@dataclass(frozen=True)
class Answer:
    """A response whose body was read completely."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the JSON object in the body. Raises Unreachable if the answer is not Nebula's."""
        parsed = _parsed(self.body)
        if not isinstance(parsed, dict):
            raise Unreachable(
                f"What answers there (status {self.status}) is not Nebula; check the address: nebula ping"
            )
        return parsed


class Server:
    """One gateway, identified by its address. Knows nothing about accounts."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._pool = urllib3.PoolManager(retries=False, headers={"User-Agent": user_agent()})

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        json_body: Any = None,
        body: Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        connect_s: float = CONNECT_S,
    ) -> Answer:
        """Send a request and read its whole answer, whatever its status. Raises Unreachable."""
        all_headers = {"User-Agent": user_agent(), **(headers or {})}
        content: Iterable[bytes] | bytes | None = body
        if json_body is not None:
            all_headers["Content-Type"] = "application/json"
            content = json.dumps(json_body).encode()
        timeout = urllib3.Timeout(connect=SEND_S if body is not None else connect_s, read=ANSWER_S)
        try:
            answer = self._pool.request(
                method, self._url(path, query), body=content, headers=all_headers, timeout=timeout, redirect=False
            )
        except exceptions.HTTPError as error:
            raise self.unreachable(error) from error
        return Answer(answer.status, answer.headers, answer.data)

    def stream(self, path: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """GET a body to be read piece by piece. Raises Unreachable.

        Reading raises HTTPError; callers turn it into Unreachable with `unreachable`.
        """
        timeout = urllib3.Timeout(connect=CONNECT_S, read=ANSWER_S)
        all_headers = {"User-Agent": user_agent(), "Accept-Encoding": "identity", **headers}
        try:
            return self._pool.request(
                "GET",
                self._url(path, None),
                headers=all_headers,
                timeout=timeout,
                redirect=False,
                preload_content=False,
            )
        except exceptions.HTTPError as error:
            raise self.unreachable(error) from error

    def unreachable(self, error: Exception) -> Unreachable:
        """Return the error that tells the person about a failed exchange."""
        return Unreachable(f"No answer from {self.url}: {reason(error)}", "Find the hop that fails: nebula ping")

    def _url(self, path: str, query: Mapping[str, str] | None) -> str:
        return f"{self.url}{path}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")


def checked(answer: Answer, server: Server) -> Answer:
    """Return the answer if its status is 2xx, else raise its error. Nebula's API never redirects the client."""
    if 200 <= answer.status < 300:
        return answer
    raise problem(answer, server)


def problem(answer: Answer, server: Server) -> CliError:
    """Return the error for an answer that is not 2xx. Its message is the problem's `detail`, the server's own text."""
    members = _problem_members(answer)
    code = str(members.get("code") or "")
    detail = output.clean(str(members.get("detail") or f"{server.url} refused it ({code})."))[:MAX_DETAIL]
    if not code and not answer.body and answer.status in {401, 404}:
        return _bodiless(answer.status)  # an answer to HEAD
    if not code:
        return not_nebula(answer, server)
    if answer.status == 401:
        return SignInAgain(detail if "nebula login" in detail else f"{detail} Sign in: nebula login")
    if answer.status == 404:
        return NotFound(detail)
    return Refused(detail, code=code, status=answer.status, retry_after_s=_retry_after_s(answer))


def not_nebula(answer: Answer, server: Server) -> Unreachable:
    """Return the error for an answer that does not come from Nebula."""
    return Unreachable(f"{server.url} answered with status {answer.status}, not as Nebula does; see nebula ping")


def server_url(text: str) -> str:
    """Return the address that a person means: `laptop` means http://laptop:8420. Raises UsageError."""
    typed = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(typed)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    is_valid = parts.scheme in {"http", "https"} and parts.hostname and parts.path in {"", "/"}
    if not is_valid or parts.query or parts.fragment or parts.username or not re.fullmatch(r"[\x21-\x7e]+", typed):
        raise UsageError(f"{output.clean(text)!r} is no server's address; it takes http://HOST:PORT or https://HOST.")
    if "://" not in text and port is None:
        return f"http://{parts.netloc.lower()}:{DEFAULT_PORT}"
    return f"{parts.scheme}://{parts.netloc.lower()}"


def user_agent() -> str:
    """Return the User-Agent, by which `nebula sessions` shows this device."""
    node = re.sub(r"[^A-Za-z0-9.-]", "", platform.node()) or "unknown"
    return f"nebula/{__version__} ({platform.system()}; {node})"


def reason(error: BaseException) -> str:
    """Return a few words that say why an exchange failed."""
    if isinstance(error, exceptions.NameResolutionError):
        return "its name is not known here"
    if isinstance(error, exceptions.NewConnectionError):  # tested first: urllib3 makes it a TimeoutError too
        cause = error.__cause__ or error.__context__
        return str(getattr(cause, "strerror", None) or "no connection").lower()
    if isinstance(error, exceptions.TimeoutError):
        return "nothing came in time"
    if isinstance(error, exceptions.SSLError):
        return f"its certificate or TLS is wrong ({error.args[0]})"
    if isinstance(error, exceptions.ProtocolError):
        return "the connection broke"
    return output.clean(str(error)).rstrip(".")


def _bodiless(status: int) -> CliError:
    return SignInAgain("Sign in first: nebula login") if status == 401 else NotFound("It is not there any more.")


def _problem_members(answer: Answer) -> dict[str, Any]:
    if not answer.headers.get("Content-Type", "").startswith("application/problem+json"):
        return {}
    parsed = _parsed(answer.body)
    return parsed if isinstance(parsed, dict) else {}


def _parsed(body: bytes) -> Any:
    """Return the value of a JSON body, with its objects as Members; None if it is not JSON."""
    try:
        return json.loads(body, object_hook=Members)
    except (ValueError, RecursionError):  # RecursionError: nested deeper than any answer of Nebula
        return None


def _retry_after_s(answer: Answer) -> float | None:
    text = answer.headers.get("Retry-After", "")
    return float(text) if re.fullmatch(r"\d{1,5}", text, re.ASCII) else None
