"""The commands that make films, from plans alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nebula.domain import plan
from nebula.domain.chunks import Chunk
from nebula.domain.media import MediaFacts
from nebula.media.ffmpeg import arguments, encoders
from nebula.media.ffmpeg.progress import ProgressReader
from nebula.media.ffmpeg.source import input_arguments, shown
from nebula.media.ffmpeg.tools import Tools
from nebula.media.making import film
from tests.unit.test_plan import AAC, AC3, MKV, PACKETS, WEB_READY, with_video

TARGET = Path("/scratch/film.mp4")


def command(facts: MediaFacts, **options) -> list[str]:
    return arguments.film("/in/put", plan.decide(facts, name="", media_type=""), TARGET, **options)


def after(argv: list[str], option: str) -> str:
    return argv[argv.index(option) + 1]


def test_remux_copies_both_and_puts_the_index_first():
    argv = command(MKV)
    assert (after(argv, "-c:v"), after(argv, "-c:a"), after(argv, "-movflags")) == ("copy", "copy", "+faststart")
    assert "-vf" not in argv
    assert argv[-1] == "file:/scratch/film.mp4"


def test_copied_video_gets_stereo_aac_that_stays_with_the_picture():
    argv = command(replace(MKV, audio=(replace(AC3, sample_rate=96_000),)))
    assert (after(argv, "-c:v"), after(argv, "-c:a"), after(argv, "-ac")) == ("copy", "aac", "2")
    assert after(argv, "-ar:a:0") == "48000"
    assert after(argv, "-af") == "aresample=async=1:first_pts=0"


def test_every_language_is_kept_with_its_tag_and_the_default_one_is_first():
    english = replace(AC3, index=1, language="eng")
    german = replace(AC3, index=5, language="ger", title="Kommentar", is_default=True)
    argv = command(replace(MKV, audio=(english, german)))
    maps = [argv[place + 1] for place, word in enumerate(argv) if word == "-map"]
    assert maps == ["0:0", "0:5", "0:1"]
    assert after(argv, "-metadata:s:a:0") == "language=ger"
    assert "title=Kommentar" in argv
    assert after(argv, "-metadata:s:a:1") == "language=eng"
    assert (after(argv, "-disposition:a:0"), after(argv, "-disposition:a:1")) == ("default", "0")


def test_place_where_a_phone_filmed_is_left_out():
    assert after(command(MKV), "-map_metadata") == "-1"


def test_encode_keeps_the_time_of_every_frame():
    argv = command(with_video(codec="hevc"))
    assert after(argv, "-fps_mode") == "passthrough"
    assert after(argv, "-vf") == "scale=w=1280:h=720,setsar=1,trim=end_frame=242,format=yuv420p"
    assert after(argv, "-profile:v") == "high"
    assert after(argv, "-c:a") == "copy"


def test_encoder_gets_no_more_pictures_than_the_source_has_packets():
    busy = with_video(codec="hevc", packets=replace(PACKETS, count=2400))
    for facts, most in ((with_video(codec="hevc"), 242), (busy, 2402)):
        assert f"trim=end_frame={most}" in after(command(facts), "-vf").split(",")
    assert after(part_command(busy), "-frames:v") == str(PART.frames)


def test_threads_bound_decoder_and_encoder():
    argv = command(with_video(codec="hevc"), threads=3)
    assert [argv[place + 1] for place, word in enumerate(argv) if word == "-threads"] == ["3", "3"]


def test_only_interlaced_video_is_deinterlaced():
    assert "bwdif" in after(command(with_video(field_order="bt")), "-vf")
    assert "bwdif" not in after(command(with_video(rotation=90)), "-vf")


def test_tone_map_fills_in_the_tags_that_zscale_needs():
    filters = after(command(with_video(codec="hevc", transfer="smpte2084", bit_depth=10)), "-vf")
    assert "tin=smpte2084:pin=bt2020:min=bt2020nc:rin=limited" in filters
    assert "tonemap=hable" in filters


def test_wide_colours_without_hdr_are_converted_but_not_tone_mapped():
    filters = after(command(with_video(codec="hevc", transfer="bt709", primaries="bt2020")), "-vf")
    assert "tonemap" not in filters
    assert "p=bt709" in filters


@pytest.mark.parametrize(
    ("width", "height", "rate", "level"),
    [(1280, 720, 30, "3.1"), (1920, 1080, 30, "4.1"), (1920, 1080, 60, "4.2"), (1080, 1920, 120, "5.1")],
)
def test_level_follows_size_and_rate(width, height, rate, level):
    assert encoders.level(width, height, rate) == level


def test_no_command_is_made_for_a_plan_without_a_film():
    with pytest.raises(ValueError, match="no film"):
        command(WEB_READY)


def test_unknown_encoder_is_refused():
    with pytest.raises(ValueError, match="h264_dream"):
        command(with_video(codec="hevc"), encoder="h264_dream")


def test_path_is_opened_by_the_file_protocol_alone():
    argv = input_arguments("-rf/concat:x")
    assert after(argv, "-protocol_whitelist") == "file"
    assert after(argv, "-i") == "file:-rf/concat:x"


def test_url_is_opened_by_http_alone():
    argv = input_arguments("http://store/key?X-Amz-Signature=abc")
    assert after(argv, "-protocol_whitelist") == "http,tcp"


@pytest.mark.parametrize(
    "demuxer", ["hls", "concat", "dash", "image2", "lavfi", "tty", "srt", "sdp", "imf", "ffmetadata"]
)
def test_demuxer_that_reads_other_files_is_not_allowed(demuxer):
    assert demuxer not in after(input_arguments("x"), "-format_whitelist").split(",")


def test_signature_of_a_url_is_not_shown():
    url = "http://store/bucket/key?X-Amz-Signature=secret"
    assert shown(url) == "http://store/bucket/key"
    assert "secret" not in film.command(["ffmpeg", "-i", url, "out"], url)


def test_bounds_of_a_copy_follow_the_source_and_those_of_an_encode_its_length():
    made = plan.decide(MKV, name="", media_type="")
    assert film.bounds(MKV, made, Tools()).file_bytes == (1200 + 400_000) + film.SLACK_BYTES
    encoded = with_video(codec="hevc")
    bound = film.bounds(encoded, plan.decide(encoded, name="", media_type=""), Tools()).file_bytes
    assert bound is not None
    assert bound > 10 * 8_000_000 / 8


def test_progress_is_read_from_ffmpegs_reports():
    reader = ProgressReader(10.0)
    report = ["frame=60", "out_time_us=2500000", "speed=2.5x", "progress=continue"]
    progress = [reader.feed(line) for line in report][-1]
    assert progress is not None
    assert (progress.fraction, progress.speed, progress.eta_s) == (0.25, 2.5, 3.0)
    assert reader.moved
    assert reader.frames == 60
    assert [reader.feed(line) for line in report][-1] == progress
    assert not reader.moved  # the same again is no progress


def test_progress_survives_what_ffmpeg_does_not_know_yet():
    reader = ProgressReader(10.0)
    progress = [reader.feed(line) for line in ("out_time_us=N/A", "speed=N/A", "progress=continue")][-1]
    assert progress is not None
    assert (progress.fraction, progress.speed, progress.eta_s) == (0.0, None, None)


def test_sound_that_is_fine_is_copied_beside_an_encoded_picture():
    assert after(command(with_video(MKV, codec="vp9")), "-c:a") == "copy"
    assert "-an" in command(replace(with_video(codec="vp9"), audio=()))
    assert AAC.is_aac_lc


# In chunks.

PART = Chunk(1, 10.0, 19.96, 10.0, 240, 240, clock_s=11.4, seek_s=9.99, from_s=11.38, to_s=21.38)


def part_command(facts: MediaFacts, part: Chunk = PART, **options) -> list[str]:
    return arguments.chunk("/in/put", plan.decide(facts, name="", media_type=""), part, TARGET, **options)


def test_chunk_is_sought_before_its_input_and_cut_by_the_sources_own_clock():
    argv = part_command(with_video(codec="hevc"))
    assert argv.index("-ss") < argv.index("-i")
    assert after(argv, "-ss") == "9.990000"
    assert {"-copyts", "-noaccurate_seek"} < set(argv[: argv.index("-i")])
    cut = "settb=AVTB,trim=start=11.380000:end=21.380000"
    assert after(argv, "-vf") == f"{cut},scale=w=1280:h=720,setsar=1,format=yuv420p"
    assert after(argv, "-output_ts_offset") == "-11.400000"
    assert after(argv, "-frames:v") == "240"


def test_chunk_has_no_sound_and_stands_alone():
    argv = part_command(with_video(codec="hevc"))
    assert "-an" in argv
    assert [argv[place + 1] for place, word in enumerate(argv) if word == "-map"] == ["0:0"]
    assert "open-gop=0" in after(argv, "-x264-params")


def test_chunk_is_encoded_as_the_film_in_one_piece_is():
    facts = with_video(codec="hevc")
    whole, part = command(facts), part_command(facts)
    for option in (
        "-crf",
        "-preset",
        "-maxrate",
        "-bufsize",
        "-profile:v",
        "-level:v",
        "-x264-params",
        "-enc_time_base",
    ):
        assert after(part, option) == after(whole, option)


def test_chunk_is_cut_after_its_fields_were_joined():
    filters = after(part_command(with_video(field_order="tt")), "-vf").split(",")
    assert [one.partition("=")[0] for one in filters[:3]] == ["bwdif", "settb", "trim"]


def test_first_chunk_begins_with_the_source():
    argv = part_command(with_video(codec="hevc"), replace(PART, seek_s=None, from_s=None))
    assert "-ss" not in argv
    assert "trim=end=21.380000" in after(argv, "-vf")


def test_sound_alone_begins_where_the_film_does():
    argv = arguments.sound("/in/put", plan.decide(with_video(MKV, codec="vp9"), name="", media_type=""), 1.4, TARGET)
    assert (after(argv, "-c:a"), after(argv, "-output_ts_offset")) == ("copy", "-1.400000")
    facts = replace(with_video(codec="vp9"), audio=(AC3,))
    argv = arguments.sound("/in/put", plan.decide(facts, name="", media_type=""), 1.4, TARGET)
    assert after(argv, "-af") == "asetpts=PTS-1.400000/TB,aresample=async=1:first_pts=0"
    assert "-output_ts_offset" not in argv


def test_join_copies_and_puts_the_index_first():
    made = plan.decide(replace(with_video(codec="vp9"), audio=(AC3,)), name="", media_type="")
    argv = arguments.join(Path("/scratch/film.parts"), 0.1, Path("/scratch/sound.mp4"), made, TARGET)
    assert (after(argv, "-c:v"), after(argv, "-c:a"), after(argv, "-movflags")) == ("copy", "copy", "+faststart")
    assert after(argv, "-itsoffset") == "0.100000"
    assert [argv[place + 1] for place, word in enumerate(argv) if word == "-map"] == ["0:v:0", "1:a:0"]


def test_nothing_is_cut_where_the_picture_is_copied():
    with pytest.raises(ValueError, match="encodes no picture"):
        part_command(MKV)
