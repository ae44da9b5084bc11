"""The commands for jobs (progress, reasons, pause, retry), and the status of the server."""

from __future__ import annotations

from itertools import islice
from typing import Any

from nebula_cli import following, formats, lookup, output, shapes
from nebula_cli.command_line import command
from nebula_cli.commands import backups
from nebula_cli.signed_in import SignedIn

SHOWN = 50


@command
def jobs(*, follow: bool = False, limit: str = "", json: bool = False) -> None:
    """List the jobs that make films playable, the newest first.

    --follow  show the unfinished jobs live, until they end or you press Ctrl-C
    --limit N  show at most N jobs (default 50)
    --json  print the API's objects, one per line
    """
    most = formats.count("--limit", limit) if limit else SHOWN
    api = SignedIn()
    if follow:
        following.follow(api, json=json)
        return
    recent_jobs = list(islice(api.items("/jobs", page=min(most, SHOWN)), most))
    if json:
        output.print_all(recent_jobs)
    elif recent_jobs:
        names = following.Names(api)
        output.print_table(following.TITLES, [following.row(job, names) for job in recent_jobs], shapes.STATE_COLOURS)
    else:
        output.say("No work yet; bring a film: nebula upload PATH")


@command
def job(job_id: str, *, log: bool = False, json: bool = False) -> None:
    """Show one job: its progress, the machine it runs on, its exact command, and why it failed.

    ID is the job's id or the beginning of it.

    --log  also print the end of ffmpeg's log
    --json  print the API's object
    """
    api = SignedIn()
    details = lookup.job(api, job_id)
    if json:
        output.print_json(details)
        return
    for title, value in _facts(details, following.Names(api)):
        output.data(f"{title + ':':<12} {output.clean(value)}")
    if log:
        _print_log(details)


@command
def retry(job_id: str, *, json: bool = False) -> None:
    """Restart a job that failed or was cancelled.

    ID is the job's id or the beginning of it.

    --json  print the API's object
    """
    api = SignedIn()
    matching_job = lookup.job(api, job_id)
    _tell(
        api.send("POST", f"/jobs/{matching_job['id']}/retry"),
        "waits for a worker again; see it: nebula jobs --follow",
        json,
    )


@command
def cancel(job_id: str, *, remove: bool = False, json: bool = False) -> None:
    """Cancel a job. The original is kept; to start the job again: nebula retry ID.

    ID is the job's id or the beginning of it.

    --remove  also delete the job, so that it cannot be retried
    --json  print the API's object
    """
    api = SignedIn()
    matching_job = lookup.job(api, job_id)
    if remove:
        api.send("DELETE", f"/jobs/{matching_job['id']}")
        _tell(matching_job, "is removed.", json)
    else:
        _tell(api.send("POST", f"/jobs/{matching_job['id']}/cancel"), "is cancelled.", json)


@command
def pause(job_id: str, *, json: bool = False) -> None:
    """Pause a job. To continue it: nebula resume ID.

    ID is the job's id or the beginning of it. Finished chunks are kept.

    --json  print the API's object
    """
    api = SignedIn()
    matching_job = lookup.job(api, job_id)
    paused = api.send("POST", f"/jobs/{matching_job['id']}/pause")
    _tell(paused, f"is paused; let it go on: nebula resume {lookup.short_id(matching_job)}", json)


@command
def resume(job_id: str, *, json: bool = False) -> None:
    """Continue a paused job.

    ID is the job's id or the beginning of it.

    --json  print the API's object
    """
    api = SignedIn()
    matching_job = lookup.job(api, job_id)
    _tell(api.send("POST", f"/jobs/{matching_job['id']}/resume"), "waits for a worker again.", json)


@command
def status(*, json: bool = False) -> None:
    """Show the status of the server: its services, disk space, queues, and the number of active streams.

    --json  print the API's object
    """
    api = SignedIn()
    report = api.get("/status")
    if json:
        output.print_json(report)
        return
    output.data(f"{'server:':<12} {api.server.url}, version {output.clean(str(report.get('version', '?')))}")
    for title, value in _condition(report):
        output.data(f"{title + ':':<12} {value}")


def _tell(changed: dict[str, Any], what: str, json: bool) -> None:
    if json:
        output.print_json(changed)
    output.say(f"The job {lookup.short_id(changed)} {what}")


def _print_log(found: dict[str, Any]) -> None:
    log = str(found.get("log") or "")
    if not log:
        output.say("The job has no log.")
        return
    output.data("log:")
    for line in log.splitlines():
        output.data(f"  {output.clean(line)}")


def _facts(found: dict[str, Any], names: following.Names) -> list[tuple[str, str]]:
    chunks = f"{found.get('chunks_done')} of {found['chunks_total']}" if found.get("chunks_total") else ""
    repeated = f", {found['chunks_repeated']} repeated" if found.get("chunks_repeated") else ""
    facts = [
        ("id", str(found["id"])),
        ("file", names.of(found)),
        ("account", str(found.get("account") or "")),
        ("makes", shapes.what(found)),
        ("state", str(found.get("state", ""))),
        ("progress", shapes.job_progress(found)),
        ("speed", shapes.speed(found)),
        ("left", shapes.eta(found)),
        ("node", str(found.get("node") or "")),
        ("attempt", str(found.get("attempt") or "")),
        ("chunks", chunks + repeated),
        ("encoder", str(found.get("encoder") or "") + _restarts(found)),
        ("created", formats.local_time(found.get("created_at"))),
        ("started", formats.local_time(found.get("started_at"))),
        ("finished", formats.local_time(found.get("finished_at"))),
        *(("because", str(reason)) for reason in found.get("plan_reasons") or []),
        ("command", str(found.get("command") or "")),
        ("paused", str(found.get("paused_reason") or "")),
        ("warning", str(found.get("warning") or "")),
        ("error", str(found.get("error") or "")),
    ]
    if found.get("state") in {"failed", "cancelled"}:
        facts.append(("try again", f"nebula retry {lookup.short_id(found)}"))
    return [(title, value) for title, value in facts if value]


def _restarts(found: dict[str, Any]) -> str:
    count = found.get("restarts") or 0
    return f", begun again {count} time{'s' if count > 1 else ''} in software" if count else ""


def _condition(found: dict[str, Any]) -> list[tuple[str, str]]:
    lines = [
        (str(name), output.painted(output.clean(str(state)), shapes.STATE_COLOURS.get(str(state), "")))
        for name, state in (found.get("services") or {}).items()
    ]
    disk = found.get("disk") or {}
    if disk.get("total_bytes") is not None:
        room = f"{formats.size(disk.get('free_bytes') or 0)} free of {formats.size(disk['total_bytes'])}"
        lines.append(("disk", room))
    lines += [("files", _counts(found.get("files") or {}))]
    lines += [("stored", formats.size(found.get("stored_bytes") or 0))]
    lines += [(f"{name} jobs", _counts(states)) for name, states in (found.get("queue") or {}).items()]
    lines += [(name, str(found[name])) for name in ("uploads", "streams", "nodes") if name in found]
    if isinstance(found.get("backup"), dict):
        lines.append(("backup", backups.line(found["backup"])))
    return lines


def _counts(numbers: dict[str, Any]) -> str:
    parts = [f"{number} {output.clean(str(state))}" for state, number in numbers.items() if number]
    return ", ".join(parts) or "none"
