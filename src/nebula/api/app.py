"""Builds the gateway on one page: settings, adapters, services, routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import falcon

from nebula import config
from nebula.api import errors
from nebula.api.authentication import Authentication
from nebula.api.delivery import Delivery
from nebula.api.gates import Gates
from nebula.api.openapi import Description
from nebula.api.requests import JsonBodies, StorableIds
from nebula.api.resources import accounts, content, files, health, jobs, links, operations, power, status, uploads
from nebula.api.viewers import Viewers
from nebula.auth.passwords import Passwords
from nebula.auth.tokens import AccessTokens
from nebula.config import Settings
from nebula.db.database import Database
from nebula.messages import Messages
from nebula.services.accounts import Accounts
from nebula.services.jobs import Jobs
from nebula.services.library import Library
from nebula.services.links import Links
from nebula.services.machine.operations import Operations
from nebula.services.machine.status import Status
from nebula.services.machine.viewers import Watching
from nebula.services.playback import Playback
from nebula.services.uploads.lifecycle import Uploads
from nebula.storage.choose import open_storage

V1 = "/api/v1"


class Gateway(falcon.App[Any, Any]):
    """The WSGI application. `close` ends the threads and connections that it opened."""

    def __init__(self, closers: list[Callable[[], None]], **options: Any) -> None:
        super().__init__(**options)
        self._closers = closers

    def close(self) -> None:
        """End every adapter's threads and connections."""
        for close in self._closers:
            close()


def create_app(settings: Settings | None = None) -> Gateway:
    """Build the gateway from the environment, or from `settings`."""
    settings = settings or config.load()

    # Adapters
    access_tokens = AccessTokens(settings.secret_keys, minutes=settings.access_token_minutes)
    database = Database(settings.database_url)
    storage = open_storage(settings)
    messages = Messages(settings)

    # Services
    gates = Gates()
    bodies = JsonBodies(gates)
    account_service = Accounts(database, Passwords(), access_tokens, refresh_token_days=settings.refresh_token_days)
    library = Library(database, storage, messages)
    upload_service = Uploads(
        database,
        storage,
        messages,
        tails_dir=settings.tails_dir,
        data_dir=settings.data_dir,
        reserve_bytes=settings.reserve_bytes,
    )
    job_service = Jobs(database, messages)
    status_service = Status(
        database, storage, messages, data_dir=settings.data_dir, reserve_bytes=settings.reserve_bytes
    )

    link_service = Links(database)
    playback = Playback(database, account_service.is_alive)
    viewers = Viewers()
    viewer_recorder = Watching(database, viewers.count, node=settings.node_name)
    viewer_recorder.start()
    delivery = Delivery(storage, gates.streams, viewers)

    # Routes: path, resource, and the suffix of its responders if one resource serves several paths
    routes: list[tuple[str, object] | tuple[str, object, str]] = [
        ("/ping", health.Ping()),
        ("/healthz", health.Ping()),
        ("/readyz", health.Readiness(status_service)),
        ("/metrics", health.Metrics(status_service, gates, settings.metrics_token)),
        ("/openapi.json", Description()),
        (f"{V1}/auth/login", accounts.Login(account_service, bodies)),
        (f"{V1}/auth/refresh", accounts.Refresh(account_service, bodies)),
        (f"{V1}/auth/logout", accounts.Logout(account_service)),
        (f"{V1}/auth/password", accounts.Password(account_service, bodies)),
        (f"{V1}/auth/whoami", accounts.WhoAmI()),
        (f"{V1}/auth/sessions", sessions := accounts.Sessions(account_service)),
        (f"{V1}/auth/sessions/{{session_id}}", sessions, "one"),
        (f"{V1}/files", files.Files(library)),
        (
            f"{V1}/files/by-name/{{name:path}}",
            uploads.FileByName(upload_service, library, gates, account_service.is_alive),
        ),
        (f"{V1}/files/{{file_id}}", file := files.File(library, bodies)),
        (f"{V1}/files/{{file_id}}/restore", file, "restore"),
        (f"{V1}/files/{{file_id}}/content", content.Original(playback, delivery)),
        (
            f"{V1}/files/{{file_id}}/renditions/{{rendition_id}}/content",
            content.RenditionContent(playback, delivery),
        ),
        (
            f"{V1}/files/{{file_id}}/subtitles/{{subtitles_id}}/content",
            content.SubtitlesContent(playback, delivery),
        ),
        (f"{V1}/files/{{file_id}}/stream", content.Stream(playback, V1)),
        (f"{V1}/files/{{file_id}}/links", links.FileLinks(link_service, bodies)),
        (f"{V1}/links", all_links := links.AllLinks(link_service)),
        (f"{V1}/links/{{link_id}}", all_links, "one"),
        ("/s/{token}", open_link := links.OpenLink(link_service, delivery)),
        ("/s/{token}/{name}", open_link),
        (f"{V1}/uploads", uploads.UploadCollection(upload_service, gates, account_service.is_alive)),
        (f"{V1}/uploads/{{upload_id}}", uploads.Upload(upload_service, gates, account_service.is_alive)),
        (f"{V1}/jobs", jobs.JobList(job_service)),
        (f"{V1}/jobs/{{job_id}}", job := jobs.Job(job_service)),
        (f"{V1}/jobs/{{job_id}}/retry", job, "retry"),
        (f"{V1}/jobs/{{job_id}}/cancel", job, "cancel"),
        (f"{V1}/jobs/{{job_id}}/pause", job, "pause"),
        (f"{V1}/jobs/{{job_id}}/resume", job, "resume"),
        (f"{V1}/status", status.Status(status_service, gates)),
        (f"{V1}/nodes", status.Nodes(status_service)),
        (f"{V1}/power", power.Power(status_service)),
        (f"{V1}/operations", operations.Operations(Operations(database, settings.spool_dir), bodies)),
    ]
    app = Gateway(
        [
            viewer_recorder.close,
            delivery.close,
            gates.bodies.close,
            upload_service.close,
            messages.close,
            status_service.close,
            database.close,
        ],
        middleware=[Authentication(account_service), StorableIds()],
    )
    app.req_options.auto_parse_form_urlencoded = False
    app.req_options.strip_url_path_trailing_slash = False
    errors.install(app)
    for path, resource, *suffix in routes:
        app.add_route(path, resource, suffix=suffix[0] if suffix else None)
    return app
