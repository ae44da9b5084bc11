"""Subtitles at the command line: listed, handed to players, saved."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from nebula_cli import players
from nebula_cli.players import Captions
from tests.recording import Asked, Recording, Said
from tests.unit.cli import FILE_ID, OTHER_ID, V1, Cli, file, holds

VTT = b"WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nHallo\n"
GERMAN, FORCED, ENGLISH = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002", OTHER_ID


def _texts(subtitles_id: str, language: str | None, **more: Any) -> dict[str, Any]:
    flags = {"default": False, "forced": False, "hearing_impaired": False}
    told = {"id": subtitles_id, "language": language, "title": None, "size_bytes": len(VTT), "cues": 1}
    return told | flags | {"sha256": hashlib.sha256(VTT).hexdigest()} | more


ALL = [_texts(FORCED, "de", title="Schilder", forced=True), _texts(GERMAN, "de"), _texts(ENGLISH, "en")]


def _film(server: Recording, *subtitles: dict[str, Any], rendition: str | None = OTHER_ID) -> None:
    holds(server, file("films/a.mkv", subtitles=list(subtitles)))

    def link(asked: Asked) -> dict[str, Any]:
        found = asked.json().get("subtitles_id")
        url = f"http://h/s/{found or 'film'}"
        return {"id": OTHER_ID, "url": url, "rendition_id": None if found else rendition, "subtitles_id": found}

    server.answers[f"POST {V1}/files/{FILE_ID}/links"] = link


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Captions]]:
    """What players were started with."""
    kept: list[tuple[str, Captions]] = []
    monkeypatch.setattr(players, "chosen", lambda wanted: "none" if wanted == "auto" else wanted)
    monkeypatch.setattr(players, "play", lambda player, _url, *, captions, **_more: kept.append((player, captions)))
    return kept


def test_info_lists_subtitles(cli: Cli, recording: Recording) -> None:
    _film(recording, *ALL[:1], _texts(GERMAN, None, default=True, hearing_impaired=True))
    lines = cli("info", "a.mkv").out.splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("SUBTITLES"))
    assert lines[head + 1].split() == ["de", "forced", "44", "B", FORCED, "Schilder"]
    assert lines[head + 2].split() == ["?", "default,", "hearing-impaired", "44", "B", GERMAN]


def test_a_player_gets_all_subtitles_and_shows_what_the_film_itself_would(
    cli: Cli, recording: Recording, started: list[tuple[str, Captions]]
) -> None:
    _film(recording, *ALL[1:], ALL[0])
    assert cli("play", "a.mkv", "--player", "mpv").code == 0
    urls = tuple(f"http://h/s/{one}" for one in (FORCED, GERMAN, ENGLISH))
    assert started == [("mpv", Captions(urls, True))]
    asked = recording.asked[-1].json()
    assert asked == {"subtitles_id": ENGLISH, "expires_s": 86400}


@pytest.mark.parametrize(("wanted", "first"), [("en", ENGLISH), ("DE", GERMAN), ("schild", FORCED), ("bbbb", FORCED)])
def test_wanted_subtitles_are_shown(
    cli: Cli, recording: Recording, started: list[tuple[str, Captions]], wanted: str, first: str
) -> None:
    _film(recording, *ALL)
    assert cli("play", "a.mkv", "--player", "vlc", "--subtitles", wanted).code == 0
    ((_, captions),) = started
    assert (captions.urls[0], len(captions.urls), captions.shows_first) == (f"http://h/s/{first}", 3, True)


def test_none_means_none(cli: Cli, recording: Recording, started: list[tuple[str, Captions]]) -> None:
    _film(recording, *ALL)
    assert cli("play", "a.mkv", "--player", "mpv", "--subtitles", "none").code == 0
    assert started == [("mpv", Captions())]
    assert len(recording.changes) == 1  # the film's own link


def test_what_no_film_asks_for_is_not_shown_but_can_be_chosen(
    cli: Cli, recording: Recording, started: list[tuple[str, Captions]]
) -> None:
    """VLC shows the first that it is given: so it gets none, and the person is told."""
    _film(recording, *ALL[1:])
    assert cli("play", "a.mkv", "--player", "mpv").code == 0
    told = cli("play", "a.mkv", "--player", "vlc").err
    assert "There are subtitles (de, en); to have them: --subtitles LANGUAGE" in told
    urls = (f"http://h/s/{GERMAN}", f"http://h/s/{ENGLISH}")
    assert started == [("mpv", Captions(urls, False)), ("vlc", Captions())]


def test_an_original_has_its_own(cli: Cli, recording: Recording, started: list[tuple[str, Captions]]) -> None:
    _film(recording, *ALL, rendition=None)
    assert "choose them in the player" in cli("play", "a.mkv", "--player", "mpv", "--subtitles", "en").err
    assert started == [("mpv", Captions())]


def test_unknown_subtitles_are_not_found_and_those_that_there_are_are_named(
    cli: Cli, recording: Recording, started: list[tuple[str, Captions]]
) -> None:
    _film(recording, *ALL)
    ran = cli("play", "a.mkv", "--player", "mpv", "--subtitles", "fr")
    assert (ran.code, started) == (5, [])
    assert "no subtitles 'fr'; there are: de, en" in ran.err


def test_no_more_links_are_made_than_a_menu_holds(
    cli: Cli, recording: Recording, started: list[tuple[str, Captions]]
) -> None:
    many = [_texts(f"{number:08x}-0000-4000-8000-000000000001", "de", default=number == 39) for number in range(40)]
    _film(recording, *many)
    cli("play", "a.mkv", "--player", "mpv")
    ((_, captions),) = started
    assert len(captions.urls) == 12
    assert captions.urls[0].endswith(many[39]["id"])


def test_addresses_are_printed_where_there_is_no_player(
    cli: Cli, recording: Recording, started: list[tuple[str, Captions]]
) -> None:
    _film(recording, *ALL)
    assert cli("play", "a.mkv", "--player", "none").out == "http://h/s/film\n"
    assert cli("play", "a.mkv", "--player", "none", "--subtitles", "en").out == (
        f"http://h/s/film\nhttp://h/s/{ENGLISH}\n"
    )
    assert started == []


def test_players_are_started_with_addresses_of_subtitles() -> None:
    two = ("http://h/s/a/f%231.de.vtt", "http://h/s/b/f.vtt")
    told = {"title": "t", "start_s": 0.0}
    mpv = players.arguments("mpv", "mpv", "u", captions=Captions(two, True), **told)
    assert mpv == ["mpv", f"--sub-file={two[0]}", f"--sub-file={two[1]}", "--sid=1", "--force-media-title=t", "--", "u"]
    assert "--sid=no" in players.arguments("mpv", "mpv", "u", captions=Captions(two, False), **told)
    vlc = players.arguments("vlc", "vlc", "u", captions=Captions(two, True), **told)
    assert f"--input-slave={two[0]}#{two[1]}" in vlc


def test_subtitles_are_saved_beside_their_film(
    cli: Cli, recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _film(recording, *ALL)
    for one in (GERMAN, ENGLISH):
        recording.answers[f"GET {V1}/files/{FILE_ID}/subtitles/{one}/content"] = Said(200, VTT, {"ETag": '"x"'})
    assert cli("download", "a.mkv", "--subtitles", "en").code == 0
    assert (tmp_path / "a.en.vtt").read_bytes() == VTT
    assert "was here already" in cli("download", "a.mkv", "--subtitles", "en").err
    several = cli("download", "a.mkv", "--subtitles", "de")
    assert several.code == 1
    assert GERMAN in several.err
    assert FORCED in several.err
    assert cli("download", "a.mkv", "--subtitles", GERMAN, "--to", "-").out == VTT.decode()


def test_subtitles_that_came_wrong_are_not_kept(
    cli: Cli, recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _film(recording, *ALL)
    path = f"GET {V1}/files/{FILE_ID}/subtitles/{ENGLISH}/content"
    recording.answers[path] = Said(200, VTT.replace(b"Hallo", b"Holla"), {"ETag": '"x"'})
    assert cli("download", "a.mkv", "--subtitles", "en").code == 1
    assert not (tmp_path / "a.en.vtt").exists()


def test_a_file_is_processing_as_far_as_its_film_is(cli: Cli, recording: Recording) -> None:
    jobs = [
        {"id": OTHER_ID, "kind": "rendition", "state": "running", "progress": 0.2},
        {"id": GERMAN, "kind": "subtitles", "state": "running", "progress": 0.9},
    ]
    holds(recording, file("a.mkv", state="processing", jobs=jobs))
    assert "processing 20 %" in cli("ls").out
