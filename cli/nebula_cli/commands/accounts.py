"""The commands for signing in and out, passwords and sessions, and the check that the server answers."""

from __future__ import annotations

from contextlib import suppress

from nebula_cli import connectivity, formats, lookup, output, prompts, signed_in
from nebula_cli import credentials as kept
from nebula_cli.client import V1, Server, checked, server_url
from nebula_cli.command_line import command
from nebula_cli.credentials import Keyring
from nebula_cli.errors import CliError, SignInAgain
from nebula_cli.signed_in import SignedIn


@command
def ping(*, json: bool = False) -> None:
    """Check that the server answers, and show how fast it is and its version.

    If it does not answer, says which step fails: the name, the tailnet, the port or the service.

    --json  print an object instead of a sentence
    """
    report = connectivity.ping(server_url(Keyring().server()))
    if json:
        output.print_json(report)
    else:
        output.data(f"Pong from {report['server']} in {report['round_trip_ms']} ms, version {report['version']}")


@command
def login(*, server: str = "", username: str = "", password_stdin: bool = False) -> None:
    """Sign in on this machine. The session ends after 30 days without use.

    The server is remembered. Its address is http://HOST:PORT or https://HOST; HOST alone means http and port 8420.

    --server URL  sign in at this server, and use it from now on
    --username NAME  the account's name; without it, the command asks
    --password-stdin  take the password from stdin (one line) instead of a prompt
    """
    keyring = Keyring()
    gateway = Server(server_url(server or _remembered(keyring)))
    name = username or prompts.username()
    secret = prompts.from_stdin(1)[0] if password_stdin else prompts.password(f"Password of {name}: ")
    previous_session = keyring.find(gateway.url)
    answer = gateway.request("POST", f"{V1}/auth/login", json_body={"username": name, "password": secret})
    new_session = kept.from_tokens(name, checked(answer, gateway).json())
    keyring.remember(gateway.url, new_session)
    if previous_session is not None and previous_session.username == name:
        _end_session(keyring, previous_session.session_id)
    output.say(f"Signed in as {name} at {gateway.url}.")


@command
def logout() -> None:
    """Sign out on this machine: end its session at the server and remove its tokens."""
    keyring = Keyring()
    url = server_url(keyring.server())
    session = keyring.find(url)
    if session is None:
        output.say(f"Nobody is signed in at {url}.")
        return
    try:
        SignedIn(keyring).send("POST", "/auth/logout")
    except SignInAgain:
        pass  # the session has already ended
    except CliError as error:
        error.put_before(
            f"Signed out here, but the session {session.session_id[: lookup.SHORT_ID]} goes on at the server"
            " (to end it from another device: nebula sessions --revoke ID)."
        )
        raise
    finally:
        # This machine keeps no token, whatever the server answered, and also after Ctrl-C.
        signed_in.forget(keyring, url)
    output.say(f"Signed out at {url}.")


@command
def whoami(*, json: bool = False) -> None:
    """Show which account is signed in, and at which server.

    --json  print the API's object
    """
    api = SignedIn()
    account = api.get("/auth/whoami")
    if json:
        output.print_json(account)
    else:
        output.data(f"{output.clean(account['name'])} ({account['role']}) at {api.server.url}")


@command
def passwd(*, password_stdin: bool = False) -> None:
    """Change the password. This ends all other sessions of the account.

    --password-stdin  take the old and the new password from stdin, one per line
    """
    api = SignedIn()
    if password_stdin:
        old, new = prompts.from_stdin(2)
    else:
        old, new = prompts.password("Old password: "), prompts.new_password()
    api.send("POST", "/auth/password", {"old_password": old, "new_password": new})
    output.say("The password is changed; all other sessions have ended.")


@command
def sessions(*, revoke: str = "", json: bool = False) -> None:
    """List the devices that are signed in, or end the session of one.

    --revoke ID  end this session (the beginning of its id is enough)
    --json  print the API's objects, one per line
    """
    api = SignedIn()
    active_sessions = list(api.items("/auth/sessions"))
    if revoke:
        session = lookup.by_id(active_sessions, revoke, "session", "nebula sessions")
        api.send("DELETE", f"/auth/sessions/{session['id']}")
        output.say(f"The session {lookup.short_id(session)} has ended.")
    elif json:
        output.print_all(active_sessions)
    else:
        rows = [
            (
                lookup.short_id(session),
                formats.age(session.get("created_at")),
                formats.age(session.get("last_used_at")),
                session.get("address") or "",
                (session.get("user_agent") or "") + (" (this one)" if session.get("current") else ""),
            )
            for session in active_sessions
        ]
        output.print_table(("ID", "BEGAN", "USED", "ADDRESS", "DEVICE"), rows)


def _remembered(keyring: Keyring) -> str:
    try:
        return keyring.server()
    except CliError:
        return kept.DEFAULT_SERVER  # signing in replaces a damaged file


def _end_session(keyring: Keyring, session_id: str) -> None:
    """End the session that this machine had before, so that each device has only one."""
    with suppress(CliError):
        SignedIn(keyring).send("DELETE", f"/auth/sessions/{session_id}")
