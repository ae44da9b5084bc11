"""Who may import whom: one direction, siblings apart, and one home for each library."""

from __future__ import annotations

import sys

from tests.static.source import Module, modules

# Each room, and the rooms below it that it may import. Siblings of one floor never import each other: services join
# them.
GROUND = {"errors", "domain", "config"}
FLOOR = {"db", "storage", "media", "auth", "messages", "power", "process"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "domain": {"errors"},
    "config": {"errors"},
    "process": {"errors"},
    "db": {"errors", "domain"},
    "storage": GROUND,
    "media": GROUND | {"process"},
    "auth": GROUND,
    "messages": GROUND,
    "power": GROUND,
    "services": GROUND | FLOOR,
    "api": GROUND | FLOOR | {"services"},
    "worker": GROUND | FLOOR | {"services"},
    "supervisor": {"errors", "process"},
    "up": GROUND | FLOOR | {"services", "api", "worker", "supervisor"},
    "command": GROUND | FLOOR | {"services", "api", "worker", "up"},
    "start": {"command"},
}

# Rooms with rooms of their own, the lower ones first: each imports those before it and itself.
INNER_ROOMS: dict[str, tuple[str, ...]] = {
    "media": ("ffmpeg", "reading", "verifying", "making", "encoder_trial"),
    "services": ("disk_reserve", "session_cache", "playback", "machine", "uploads", "films"),
}

# Each library of others, and the only places that know it: a room or a module.
HOMES: dict[str, set[str]] = {
    "alembic": {"db"},
    "billiard": {"messages", "worker"},
    "boto3": {"storage.s3"},
    "botocore": {"storage.s3", "storage.s3_reader"},
    "celery": {"messages", "worker"},
    "falcon": {"api"},
    "gunicorn": {"api"},
    "jwt": {"auth.tokens"},
    "kombu": {"messages", "worker"},
    "prometheus_client": {"api.metrics"},
    "passlib": {"auth.passwords"},
    "pony": {"db"},
    "psutil": {"power", "services.machine.status"},
    "psycopg2": {"db"},
    "redis": {"messages"},
    "sqlalchemy": {"db"},
    "sqlite3": {"db"},
    "subprocess": {"process", "media", "supervisor"},
}
CLIENT_LIBRARIES = {"fire", "urllib3"}


def test_imports_follow_the_direction_of_the_house() -> None:
    assert _complaints(_wrong_direction) == []


def test_imports_within_a_room_follow_the_order_of_its_rooms() -> None:
    assert _complaints(_wrong_order) == []


def test_every_library_has_one_home() -> None:
    assert _complaints(_wrong_home) == []


def test_client_imports_nothing_of_the_server_and_two_libraries() -> None:
    allowed = {"nebula_cli", *CLIENT_LIBRARIES, *sys.stdlib_module_names}
    found = [
        f"{module.shown}:{line} imports {name}"
        for module in modules("nebula_cli")
        for name, line, _ in module.imports()
        if name.split(".")[0] not in allowed
    ]
    assert found == []


def test_deployer_stands_on_the_systems_python_alone() -> None:
    """Root runs it: nothing that was pushed, and no package of others, is on its path."""
    found = [
        f"{module.shown}:{line} imports {name}"
        for module in modules("nebula_deploy")
        for name, line, _ in module.imports()
        if name.split(".")[0] not in {"nebula_deploy", "nebula_root", *sys.stdlib_module_names}
    ]
    assert modules("nebula_deploy")
    assert found == []


def test_server_imports_no_module_inside_a_function() -> None:
    found = [
        f"{module.shown}:{line} imports {name}"
        for module in modules("nebula")
        for name, line, inside in module.imports()
        if inside
    ]
    assert found == []


def test_client_imports_inside_a_function_only_what_is_slow_or_its_own() -> None:
    """`nebula ls` is to start quickly: what only some commands need is imported by them."""
    found = [
        f"{module.shown}:{line} imports {name}"
        for module in modules("nebula_cli")
        for name, line, inside in module.imports()
        if inside and name.split(".")[0] not in {*CLIENT_LIBRARIES, "nebula_cli", *sys.stdlib_module_names}
    ]
    assert found == []


def test_environment_is_read_in_one_place() -> None:
    """config.py reads it; the command hands it to `up`, which hands it on to the parts."""
    readers = {
        module.name.removeprefix("nebula.")
        for module in modules("nebula")
        if "os.environ" in module.text or "getenv" in module.text
    }
    assert readers <= {"config", "command"}


def _complaints(judge: object) -> list[str]:
    assert callable(judge)
    return [
        f"{module.shown}:{line} imports {name}"
        for module in modules("nebula")
        for name, line, _ in module.imports()
        if judge(module, name)
    ]


def _wrong_direction(module: Module, name: str) -> bool:
    if not name.startswith("nebula."):
        return False
    room = name.split(".")[1]
    if room == module.room or room == "__version__":
        return False
    return module.room != "" and room not in MAY_IMPORT[module.room]


def _wrong_order(module: Module, name: str) -> bool:
    order = INNER_ROOMS.get(module.room, ())
    inner, imported = (".".join(dotted.split(".")[2:3]) for dotted in (module.name, name))
    if not name.startswith(f"nebula.{module.room}.") or not {inner, imported} <= set(order):
        return False
    return order.index(imported) > order.index(inner)


def _wrong_home(module: Module, name: str) -> bool:
    homes = HOMES.get(name.split(".")[0])
    own = module.name.removeprefix("nebula.")
    return homes is not None and own not in homes and module.room not in homes
