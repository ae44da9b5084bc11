"""Text subtitles become WebVTT once: in time with what is played, whatever their file is up to."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nebula.db import files, objects
from nebula.db import subtitles as rows
from nebula.db.database import Tx
from nebula.db.work import jobs, tasks
from nebula.domain import plan as plans
from nebula.domain import subtitles as subtitle_plans
from nebula.domain.media import MediaFacts
from nebula.domain.states import FileState, JobKind, JobState, Queue
from nebula.domain.work import Failure
from nebula.errors import StoreUnavailable
from nebula.media.ffmpeg.control import Control
from nebula.media.ffmpeg.source import DEMUXERS, is_url
from nebula.media.ffmpeg.tools import Tools
from nebula.media.making import film, subtitles
from nebula.media.making.subtitles import Extraction
from nebula.media.reading import probe
from tests.films import Bench
from tests.web import serving

NEAR_S = 0.05
PICTURE = ["-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=8"]
SOUND = ["-f", "lavfi", "-i", "sine=f=440:r=48000:d=8"]
CODED = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25", "-c:a", "aac"]
FIRST = ["-movflags", "+faststart"]
SRT = """1
00:00:00,500 --> 00:00:01,500
Hello <i>you</i> & me

2
00:00:03,000 --> 00:00:04,000
{\\an8}Second --> line

3
00:00:06,000 --> 00:00:07,000
<img src='http://127.0.0.1:9/x'><script>alert(1)</script>End
"""
ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,16

[Fonts]
fontname: evil.ttf
!!!!!!!!!!!!

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:02.00,0:00:03.00,Default,,0,0,0,,{\\pos(3,4)}Zwei\\N\\NZeilen
Dialogue: 0,0:00:01.00,0:00:04.00,Default,,0,0,0,,{\\p1}m 0 0 l 9 9{\\p0}
"""


class Sources:
    """Films with subtitles, each made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "a.srt").write_text(SRT)
        (folder / "b.ass").write_text(ASS)

    def __getitem__(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            made = getattr(self, "_" + re.sub(r"\W", "_", name))(path)
            assert made is None
        return path

    def _film_mkv(self, path: Path) -> None:
        told = ["-metadata:s:s:0", "language=ger", "-metadata:s:s:0", "title=Für alle"]
        told += ["-disposition:s:0", "forced", "-disposition:s:1", "default+hearing_impaired"]
        self._with_texts(path, ["-c:s:0", "srt", "-c:s:1", "ass", *told], "a.srt", "b.ass")

    def _pictures_mkv(self, path: Path) -> None:
        self._with_texts(path, ["-c:s", "dvb_subtitle"], picture=True)

    def _ready_mp4(self, path: Path) -> None:
        self._with_texts(path, ["-c:s", "mov_text", "-metadata:s:s:0", "language=eng", *FIRST], "a.srt")

    def _last_mp4(self, path: Path) -> None:
        self._with_texts(path, ["-c:s", "mov_text"], "a.srt")

    def _late_mkv(self, path: Path) -> None:
        self._copied(path, "film.mkv", "-output_ts_offset", "1.4")

    def _late_mp4(self, path: Path) -> None:
        self._copied(path, "last.mp4", "-output_ts_offset", "1.4")

    def _late_ready_mp4(self, path: Path) -> None:
        self._copied(path, "last.mp4", "-output_ts_offset", "1.4", *FIRST)

    def _edit_list_mp4(self, path: Path) -> None:
        """An MP4 whose edit lists hide the first two seconds of everything; index last."""
        _ffmpeg("-ss", "2", "-i", str(self["last.mp4"]), "-map", "0", "-c", "copy", str(path))

    def _webvtt_mkv(self, path: Path) -> None:
        self._with_texts(path, ["-c:s", "webvtt"], "a.srt")

    def _bad_mkv(self, path: Path) -> None:
        """The German texts are no UTF-8, the ASS header is binary."""
        data = bytearray(self["film.mkv"].read_bytes())
        for word in (b"Hello", b"Second", b"End"):
            place = data.rindex(word)
            data[place : place + 3] = b"\xff\xfe\xfd"
        path.write_bytes(data)

    def _many_mkv(self, path: Path) -> None:
        texts = "".join(f"{n}\n00:00:0{n % 7},{n % 1000:03} --> 00:00:07,900\n{n} {'x' * 200}\n\n" for n in range(3000))
        (self.folder / "many.srt").write_text(texts)
        self._with_texts(path, ["-c:s", "srt"], "many.srt", "a.srt")

    def _with_texts(self, path: Path, more: list[str], *texts: str, picture: bool = False) -> None:
        inputs = [word for text in texts for word in ("-i", str(self.folder / text))]
        maps = [word for number in range(2 + len(texts)) for word in ("-map", str(number))]
        if picture:
            # What ffmpeg itself cannot write from a text: so the codec is only named.
            self._with_texts(path, ["-c:s", "srt"], "a.srt")
            data = path.read_bytes()
            path.write_bytes(data.replace(b"S_TEXT/UTF8", b"S_HDMV/PGS\x00"))
            return
        _ffmpeg(*PICTURE, *SOUND, *inputs, *maps, *CODED, *more, str(path))

    def _copied(self, path: Path, whole: str, *more: str) -> None:
        _ffmpeg("-i", str(self[whole]), "-map", "0", "-c", "copy", *more, str(path))


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return Sources(tmp_path_factory.mktemp("subtitles"))


one_world = pytest.mark.parametrize("environ", ["embedded"], indirect=True)


def _ffmpeg(*words: str) -> None:
    argv = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", *words]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)


def _extract(path: Path, folder: Path, zero_s: float | None = None, **tools: Any) -> Extraction:
    facts = probe.probe(str(path))
    assert facts is not None
    streams = subtitle_plans.decide(facts).taken
    folder.mkdir(exist_ok=True)
    zero_s = facts.start_s if zero_s is None else zero_s
    return subtitles.extract(str(path), facts, streams, folder, zero_s=zero_s, control=Control(Tools(**tools)))


def _starts_s(text: str) -> list[float]:
    found = re.findall(r"^(\d+):(\d+):(\d+\.\d+) -->", text, re.MULTILINE)
    return [int(hours) * 3600 + int(minutes) * 60 + float(seconds) for hours, minutes, seconds in found]


def _picture_begins_s(path: Path) -> float:
    facts = probe.probe(str(path))
    assert facts is not None
    return facts.moving[0].packets.starts_s or 0.0


def test_text_of_every_kind_becomes_webvtt(sources: Sources, tmp_path: Path) -> None:
    found = _extract(sources["film.mkv"], tmp_path / "out")
    assert found.notes == ()
    srt, ass = (one.path.read_text() for one in found.made)
    assert [one.cues for one in found.made] == [3, 1]
    assert "Hello <i>you</i> &amp; me" in srt
    assert "line:0\nSecond --&gt; line\n" in srt
    assert "<script" not in srt
    assert "Zwei\nZeilen\n" in ass
    assert "evil" not in ass
    assert "m 0 0" not in ass
    for clip in ("ready.mp4", "webvtt.mkv"):
        assert [one.cues for one in _extract(sources[clip], tmp_path / clip).made] == [3]


@pytest.mark.parametrize(
    ("clip", "starts_s"),
    [
        ("film.mkv", [0.5, 3, 6]),
        ("last.mp4", [0.5, 3, 6]),
        ("late.mkv", [0.5, 3, 6]),
        ("late.mp4", [0.5, 3, 6]),
        ("edit_list.mp4", [1, 4]),  # of the first text nothing is left
    ],
)
def test_texts_are_in_time_with_the_made_film(
    sources: Sources, tmp_path: Path, clip: str, starts_s: list[float]
) -> None:
    """What is shown `starts_s` after the first picture of the source, is so after the first picture of the film."""
    source, target = sources[clip], tmp_path / "film.mp4"
    facts = probe.probe(str(source))
    plan = plans.decide(facts, name=clip, media_type="")
    assert facts is not None
    assert plan.makes_film
    film.make(str(source), facts, plan, target)
    text = _extract(source, tmp_path / "out").made[0].path.read_text()
    before_s = _picture_begins_s(target)
    assert _starts_s(text) == pytest.approx([before_s + start_s for start_s in starts_s], abs=NEAR_S)


def test_texts_are_in_time_with_an_original_that_is_played_as_it_is(bench: Bench, sources: Sources) -> None:
    content_id = bench.store(sources["late_ready.mp4"])
    assert bench.run()
    assert bench.content(content_id)["web_ready"]
    assert bench.run()
    (row,) = _rows(bench, content_id)
    begins_s = _picture_begins_s(sources["late_ready.mp4"])
    assert begins_s == pytest.approx(1.4, abs=0.1)
    assert _starts_s(_stored(bench, row))[0] == pytest.approx(begins_s + 0.5, abs=NEAR_S)


def test_texts_that_cannot_be_read_cost_themselves_alone(sources: Sources, tmp_path: Path) -> None:
    found = _extract(sources["bad.mkv"], tmp_path / "out")
    assert [one.stream.codec for one in found.made] == ["ass"]
    assert found.notes == ("subtitles 2 (ger, subrip) holds no text that can be read",)


def test_a_script_without_an_end_is_left_out_and_the_others_are_taken(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subtitles, "MAX_SCRIPT_BYTES", 100_000)
    found = _extract(sources["many.mkv"], tmp_path / "out")
    assert [(one.stream.index, one.cues) for one in found.made] == [(3, 3)]
    (note,) = found.notes
    assert note.startswith("subtitles 2 (subrip) could not be read: ffmpeg ")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["3.vtt"]


def test_more_texts_than_any_film_has_are_left_out(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nebula.domain.webvtt.MAX_CUES", 100)
    found = _extract(sources["many.mkv"], tmp_path / "out")
    assert [one.stream.index for one in found.made] == [3]
    assert found.notes == ("subtitles 2 (subrip) holds more than 100 texts",)


def test_a_store_that_does_not_answer_is_no_fault_of_the_subtitles(sources: Sources, tmp_path: Path) -> None:
    facts = probe.probe(str(sources["film.mkv"]))
    assert facts is not None
    streams = subtitle_plans.decide(facts).taken
    ffmpeg = tmp_path / "ffmpeg"
    ffmpeg.write_text("#!/bin/sh\nexit 1\n")
    ffmpeg.chmod(0o755)

    def check_source() -> None:
        raise StoreUnavailable("objects")

    control = Control(Tools(ffmpeg=str(ffmpeg)), check_source=check_source)
    with pytest.raises(StoreUnavailable):
        subtitles.extract("http://x/film.mkv", facts, streams, tmp_path, zero_s=0.0, control=control)


def test_texts_that_name_files_and_addresses_are_only_texts(sources: Sources, tmp_path: Path) -> None:
    victim = tmp_path / "victim.srt"
    victim.write_text("1\n00:00:00,000 --> 00:00:05,000\nsecret\n")
    with serving(tmp_path) as web:
        words = f"file '{victim}'\n<img src='{web.url(victim)}'>\n{{\\1img(file://{victim})}}#EXTM3U {web.url(victim)}"
        (tmp_path / "names.srt").write_text(f"1\n00:00:00,000 --> 00:00:05,000\n{words}\n")
        inputs = ["-i", str(sources["film.mkv"]), "-i", str(tmp_path / "names.srt")]
        _ffmpeg(*inputs, "-map", "0:v", "-map", "1", "-c:v", "copy", "-c:s", "srt", str(tmp_path / "film.mkv"))
        (made,) = _extract(tmp_path / "film.mkv", tmp_path / "out").made
    assert web.asked == []
    assert "secret" not in made.path.read_text()
    argv = subtitles.arguments("film.mkv", MediaFacts("matroska,webm"), (), 0.0, tmp_path, "ffmpeg")
    assert argv[argv.index("-protocol_whitelist") + 1] == "file"
    assert argv[argv.index("-format_whitelist") + 1] == DEMUXERS


@pytest.mark.parametrize("clip", ["film.mkv", "late.mp4", "webvtt.mkv"])
def test_subtitles_whose_last_text_is_missing_are_short(sources: Sources, tmp_path: Path, clip: str) -> None:
    assert not _extract(sources[clip], tmp_path / "whole").is_short
    cut = tmp_path / "ffmpeg"
    cut.write_text(f"#!/bin/sh\nffmpeg \"$@\" && sed -i '$d' {tmp_path / 'out'}/2.ass\n")
    cut.chmod(0o755)
    assert _extract(sources[clip], tmp_path / "out", ffmpeg=str(cut)).is_short


def _rows(bench: Bench, content_id: str) -> list[dict[str, Any]]:
    def work(tx: Tx) -> list[dict[str, Any]]:
        found = tx.e.Subtitles.select(lambda one: one.content.id == content_id)
        return [row.to_dict() for row in sorted(found, key=lambda row: row.number)]

    return bench.database.read(work)


def _stored(bench: Bench, row: dict[str, Any]) -> str:
    reader = bench.storage.open(row["object_key"], 0, row["size_bytes"])
    try:
        text = b""
        buffer = memoryview(bytearray(65536))
        while count := reader.readinto(buffer):
            text += bytes(buffer[:count])
        return text.decode()
    finally:
        reader.close()


def _job(bench: Bench, content_id: str) -> dict[str, Any]:
    return next(job for job in bench.jobs(content_id) if job["kind"] == JobKind.SUBTITLES)


def _until_probed(bench: Bench, path: Path) -> str:
    content_id = bench.store(path)
    assert bench.run()
    return content_id


def test_subtitles_are_published_with_what_their_file_says_of_them(bench: Bench, sources: Sources) -> None:
    content_id = _until_probed(bench, sources["film.mkv"])
    assert bench.run()  # the film
    assert bench.content(content_id)["state"] == FileState.READY
    assert _rows(bench, content_id) == []
    assert bench.run()
    german, other = _rows(bench, content_id)
    assert (german["language"], german["title"], german["codec"], german["cues"]) == ("ger", "Für alle", "subrip", 3)
    assert (german["is_forced"], german["is_default"], german["is_for_hearing_impaired"]) == (True, False, False)
    assert (other["language"], other["title"], other["codec"], other["cues"]) == (None, None, "ass", 1)
    assert (other["is_forced"], other["is_default"], other["is_for_hearing_impaired"]) == (False, True, True)
    assert _stored(bench, german).startswith("WEBVTT\n")
    job = _job(bench, content_id)
    assert (job["state"], job["warning"], job["progress"]) == (JobState.DONE, None, 1.0)
    assert job["command"].startswith("ffmpeg ")
    assert "X-Amz-Signature" not in job["command"]
    assert bench.doomed() == set()
    assert list((bench.settings.scratch_dir / Queue.QUICK.value).iterdir()) == []
    assert not bench.run()


@one_world
def test_pictures_are_named_on_the_job_with_the_reason(bench: Bench, sources: Sources) -> None:
    content_id = _until_probed(bench, sources["pictures.mkv"])
    assert bench.run()
    assert bench.run()
    job = _job(bench, content_id)
    assert job["state"] == JobState.DONE
    assert "hdmv_pgs_subtitle) is not taken: they are pictures, not text" in job["plan_reasons"]
    assert _rows(bench, content_id) == []
    assert bench.content(content_id)["state"] == FileState.READY


@one_world
def test_texts_that_could_not_be_taken_are_a_warning(bench: Bench, sources: Sources) -> None:
    content_id = _until_probed(bench, sources["bad.mkv"])
    assert bench.run()
    assert bench.run()
    job = _job(bench, content_id)
    assert (job["state"], len(_rows(bench, content_id))) == (JobState.DONE, 1)
    assert job["warning"] == (
        "Not all subtitles could be taken: subtitles 2 (ger, subrip) holds no text that can be read."
    )


def test_short_subtitles_are_taken_again_from_a_copy_where_a_store_may_have_cut_the_source_off(
    bench: Bench, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[str] = []
    real = subtitles.extract

    def short_first(source: str, *args: Any, **options: Any) -> Extraction:
        used.append(source)
        return replace(real(source, *args, **options), is_short=True)

    content_id = _until_probed(bench, sources["ready.mp4"])
    monkeypatch.setattr(subtitles, "extract", short_first)
    assert bench.run()
    assert (_job(bench, content_id)["state"], len(_rows(bench, content_id))) == (JobState.DONE, 1)
    if is_url(used[0]):
        assert Path(used.pop()).is_relative_to(bench.settings.scratch_dir)
    assert len(used) == 1


@pytest.mark.parametrize("moment", ["note", "publish"])
def test_database_that_is_away_at_the_end_does_not_cost_what_was_read(
    bench: Bench, sources: Sources, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    reads: list[str] = []
    real = subtitles.extract

    def counted(source: str, *args: Any, **options: Any) -> Extraction:
        reads.append(source)
        return real(source, *args, **options)

    content_id = _until_probed(bench, sources["ready.mp4"])
    monkeypatch.setattr(subtitles, "extract", counted)
    where = {"note": tasks, "publish": rows}[moment]
    write, away = getattr(where, moment), [True, True, True]

    def is_away(*args: Any, **options: Any) -> Any:
        if away:
            away.pop()
            raise StoreUnavailable("database")
        return write(*args, **options)

    monkeypatch.setattr(where, moment, is_away)
    assert bench.run()
    assert (_job(bench, content_id)["state"], len(_rows(bench, content_id))) == (JobState.DONE, 1)
    assert (len(reads), away) == (1, [])


@one_world
def test_subtitles_come_after_everything_that_makes_a_film_playable(bench: Bench, sources: Sources) -> None:
    """Never first, and never beside it on the same machine: a film is read whole for them."""
    one = _until_probed(bench, sources["film.mkv"])
    later = bench.store(sources["last.mp4"])
    begun, go_on = threading.Event(), threading.Event()
    real = film.make

    def slow(*args: Any, **options: Any) -> Any:
        begun.set()
        assert go_on.wait(60)
        return real(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(film, "make", slow)
        assert bench.run()  # the other's probe
        working = threading.Thread(target=bench.run)
        working.start()
        try:
            assert begun.wait(60)
            patch.setattr(film, "make", real)
            assert bench.run()  # the other's film
            assert not bench.run()
            assert [_job(bench, content_id)["state"] for content_id in (one, later)] == [JobState.QUEUED] * 2
        finally:
            go_on.set()
            working.join(60)
    assert bench.run()
    assert bench.run()
    assert [_job(bench, content_id)["state"] for content_id in (one, later)] == [JobState.DONE] * 2


@one_world
@pytest.mark.parametrize(
    "end",
    [
        lambda tx, job: jobs.fail(tx, job["id"], Failure("x", "It broke.")),
        lambda tx, job: jobs.cancel(tx, job["id"]),
    ],
    ids=["failed", "cancelled"],
)
def test_a_films_state_does_not_hang_on_its_subtitles(
    bench: Bench, sources: Sources, end: Callable[[Tx, dict[str, Any]], object]
) -> None:
    content_id = _until_probed(bench, sources["film.mkv"])
    waiting = _job(bench, content_id)
    bench.sql("UPDATE jobs SET state = 'running', attempt = 1 WHERE id = $id", id=waiting["id"])
    bench.sql("UPDATE tasks SET state = 'running', attempt = 1 WHERE job_id = $id", id=waiting["id"])
    bench.database.write(lambda tx: end(tx, waiting))
    assert bench.content(content_id)["state"] == FileState.PROCESSING
    assert bench.run()  # the film
    assert bench.content(content_id)["state"] == FileState.READY
    bench.database.write(lambda tx: jobs.requeue(tx, waiting["id"]))
    assert bench.content(content_id)["state"] == FileState.READY
    assert bench.run()
    assert len(_rows(bench, content_id)) == 2


@one_world
def test_a_worker_that_died_over_them_leaves_nothing_twice(bench: Bench, sources: Sources) -> None:
    content_id = _until_probed(bench, sources["film.mkv"])
    assert bench.run()
    real = bench.storage.put_file
    died = False

    def dies_after(key: str, path: Path, media_type: str) -> None:
        nonlocal died
        real(key, path, media_type)
        if not died:
            died = True
            raise SystemExit("killed")

    bench.storage.put_file = dies_after  # type: ignore[method-assign]
    with pytest.raises(SystemExit):
        bench.run()
    bench.storage.put_file = real  # type: ignore[method-assign]
    job = _job(bench, content_id)
    assert (job["state"], _rows(bench, content_id)) == (JobState.RUNNING, [])
    assert len(bench.doomed()) == 2  # whatever was stored is named by a row
    bench.transcoding.begin(Queue.QUICK)  # the worker starts again
    assert bench.run()
    job = _job(bench, content_id)
    assert (job["state"], job["attempt"]) == (JobState.DONE, 2)
    kept = {row["object_key"] for row in _rows(bench, content_id)}
    assert len(kept) == 2
    assert set(bench.keys("subtitles/")) - kept <= bench.doomed()


@one_world
def test_subtitles_go_with_their_film(bench: Bench, sources: Sources) -> None:
    content_id = _until_probed(bench, sources["film.mkv"])
    assert bench.run()
    assert bench.run()
    keys = {row["object_key"] for row in _rows(bench, content_id)}
    file_id = bench.database.read(lambda tx: tx.e.Content[content_id].files.select().first().id)
    bench.database.write(lambda tx: files.trash(tx, file_id))
    assert {row["object_key"] for row in _rows(bench, content_id)} == keys
    bench.database.write(lambda tx: files.purge(tx, file_id))
    assert keys <= bench.doomed()
    assert keys <= set(bench.database.read(lambda tx: objects.due_objects(tx)))
    assert bench.database.read(lambda tx: tx.e.Subtitles.select().count()) == 0


@one_world
def test_cancelled_with_the_last_file_they_come_back_with_it(bench: Bench, sources: Sources) -> None:
    content_id = _until_probed(bench, sources["ready.mp4"])
    file_id = bench.database.read(lambda tx: tx.e.Content[content_id].files.select().first().id)
    bench.database.write(lambda tx: files.trash(tx, file_id))
    assert _job(bench, content_id)["state"] == JobState.CANCELLED
    assert not bench.run()
    bench.database.write(lambda tx: files.restore(tx, file_id))
    assert bench.run()
    assert len(_rows(bench, content_id)) == 1
