"""The plan as a table: facts in, action, state and reasons out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nebula.domain import plan, rungs
from nebula.domain.media import AudioStream, MediaFacts, PacketFacts, VideoStream
from nebula.domain.states import FileState, PlanAction

PACKETS = PacketFacts(count=240, starts_s=0.0, last_s=9.96, ends_s=10.0, longest_gap_s=0.042, key_interval_s=2.0)
VIDEO = VideoStream(
    index=0,
    codec="h264",
    width=1280,
    height=720,
    profile="High",
    level=41,
    tag="avc1",
    pixel_format="yuv420p",
    field_order="progressive",
    frame_rate=24.0,
    packets=PACKETS,
)
AAC = AudioStream(index=1, codec="aac", profile="LC", channels=2, sample_rate=48000, packets=PACKETS)
AC3 = replace(AAC, codec="ac3", profile="")
WEB_READY = MediaFacts(
    format="mov,mp4,m4a,3gp,3g2,mj2",
    brand="isom",
    size_bytes=1000,
    duration_s=10.0,
    reaches_s=10.0,
    index_first=True,
    video=(VIDEO,),
    audio=(AAC,),
)
MKV = replace(WEB_READY, format="matroska,webm", brand="", index_first=False)


def with_video(facts: MediaFacts = WEB_READY, **changes) -> MediaFacts:
    return replace(facts, video=(replace(facts.video[0], **changes),))


def with_packets(**changes) -> MediaFacts:
    return with_video(packets=replace(PACKETS, **changes))


def decided(facts: MediaFacts | None, name: str = "film", media_type: str = "") -> plan.Plan:
    return plan.decide(facts, name=name, media_type=media_type)


WEB_READY_ROWS = {
    "as it is": WEB_READY,
    "no sound": replace(WEB_READY, audio=()),
    "main profile": with_video(profile="Main"),
    "constrained baseline": with_video(profile="Constrained Baseline"),
    "level 5.1": with_video(level=51),
    "full range": with_video(pixel_format="yuvj420p"),
    "a 4K original": with_video(width=3840, height=2160, level=51),
    "surround AAC-LC": replace(WEB_READY, audio=(replace(AAC, channels=6),)),
    "250 frames between key frames": with_packets(key_interval_s=10.43),
    "unknown field order": with_video(field_order="unknown"),
    "variable frame rate": with_video(frame_rate=23.1, real_frame_rate=1000.0),
    "cover art beside the film": replace(
        WEB_READY, video=(VIDEO, replace(VIDEO, index=2, codec="mjpeg", is_still=True))
    ),
}


@pytest.mark.parametrize("facts", WEB_READY_ROWS.values(), ids=WEB_READY_ROWS)
def test_nothing_is_made_when_the_original_plays_everywhere(facts):
    made = decided(facts)
    assert (made.action, made.state) == (PlanAction.NOTHING, FileState.READY)
    assert made.web_ready
    assert plan.is_web_ready(facts)
    assert not made.makes_film


REMUX_ROWS = {
    "container is matroska, not MP4": MKV,
    "container is QuickTime, not MP4": replace(WEB_READY, brand="qt"),
    "container is mpegts, not MP4": replace(MKV, format="mpegts"),
    "the MP4's index comes after its media": replace(WEB_READY, index_first=False),
    "the MP4 is fragmented: VLC cannot seek in it": replace(WEB_READY, is_fragmented=True),
    "video is tagged 'H264', not 'avc1'": with_video(tag="H264"),
    "it breaks off after 0:04.0 of 0:10.0": replace(WEB_READY, reaches_s=4.0),
    "it holds 240 of the 480 pictures that it declares": with_video(declared=480),
    "the first video stream is not the film": replace(
        WEB_READY, video=(VIDEO, replace(VIDEO, index=2, is_default=True))
    ),
}


@pytest.mark.parametrize("reason", REMUX_ROWS)
def test_remux_when_only_the_container_is_wrong(reason):
    made = decided(REMUX_ROWS[reason])
    assert (made.action, made.state, made.rung) == (PlanAction.REMUX, FileState.PROCESSING, "source")
    assert made.reasons == (reason,)
    assert not made.encodes_audio
    assert not made.web_ready


AUDIO_ROWS = {
    "audio is ac3, not AAC-LC": AC3,
    "audio is aac HE-AAC, not AAC-LC": replace(AAC, profile="HE-AAC"),
    "audio is opus, not AAC-LC": replace(AC3, codec="opus"),
}


@pytest.mark.parametrize("reason", AUDIO_ROWS)
def test_video_is_copied_when_only_the_sound_is_wrong(reason):
    made = decided(replace(WEB_READY, audio=(AUDIO_ROWS[reason],)))
    assert (made.action, made.rung, made.encodes_audio) == (PlanAction.COPY_VIDEO, "source", True)
    assert made.reasons == (reason,)


def test_all_sound_is_encoded_when_one_stream_is_wrong():
    german = replace(AC3, index=2, language="ger", is_default=True)
    made = decided(replace(WEB_READY, audio=(replace(AAC, language="eng"), german)))
    assert made.encodes_audio
    assert [stream.language for stream in made.audio] == ["ger", "eng"]  # the default one first


ENCODE_ROWS = {
    "video is hevc, not H.264": with_video(codec="hevc"),
    "video is vp9, not H.264": with_video(codec="vp9"),
    "video is prores, not H.264": with_video(codec="prores"),
    "H.264 profile is High 10, not Constrained Baseline, Main or High": with_video(profile="High 10"),
    "H.264 profile is Baseline, not Constrained Baseline, Main or High": with_video(profile="Baseline"),
    "H.264 level is 5.2; 5.1 is the most": with_video(level=52),
    "pixels are yuv422p, not 8-bit 4:2:0": with_video(pixel_format="yuv422p"),
    "key frames are up to 20 s apart; 10 s are the most": with_packets(key_interval_s=20.0),
    "video is interlaced": with_video(field_order="tt"),
    "pixels are not square (64:45)": with_video(aspect=(64, 45)),
    "video is rotated by 90 degrees": with_video(rotation=90),
    "video is HDR": with_video(transfer="smpte2084"),
    "its packets are not in order of time": with_packets(untimed=3),
}


@pytest.mark.parametrize("reason", ENCODE_ROWS)
def test_video_is_encoded_when_the_picture_is_wrong(reason):
    made = decided(ENCODE_ROWS[reason])
    assert (made.action, made.state, made.rung) == (PlanAction.ENCODE, FileState.PROCESSING, "720p")
    assert made.reasons == (reason,)
    assert not made.encodes_audio  # it is AAC-LC: copied


def test_clock_that_jumps_is_not_copied_from_a_transport_stream():
    jumping = with_packets(longest_gap_s=100.0, key_interval_s=5.0)
    assert decided(replace(jumping, format="mpegts")).action is PlanAction.ENCODE
    assert decided(replace(jumping, format="matroska,webm")).action is PlanAction.REMUX


@pytest.mark.parametrize(
    ("changes", "is_tone_mapped"),
    [
        ({"transfer": "smpte2084"}, True),
        ({"transfer": "arib-std-b67"}, True),
        ({"primaries": "bt2020"}, True),
        ({"transfer": "bt709", "primaries": "bt709"}, False),
    ],
)
def test_hdr_is_tone_mapped_and_sdr_is_not(changes, is_tone_mapped):
    assert decided(with_video(codec="hevc", **changes)).tone_map is is_tone_mapped


@pytest.mark.parametrize(
    ("shown", "made"),
    [
        ((1920, 1080), (1920, 1080, "1080p")),
        ((3840, 2160), (1920, 1080, "1080p")),
        ((3840, 1600), (1920, 800, "1080p")),
        ((1080, 1920), (1080, 1920, "1080p")),
        ((2160, 3840), (1080, 1920, "1080p")),
        ((2048, 1080), (1920, 1012, "1080p")),
        ((853, 480), (852, 480, "480p")),
        ((321, 181), (320, 180, "180p")),
        ((640, 272), (640, 272, "272p")),
    ],
)
def test_film_is_never_upscaled_and_its_sides_are_even(shown, made):
    assert plan.film_size(*shown) == made


def test_pixel_aspect_goes_into_the_width_and_rotation_swaps_the_sides():
    made = decided(with_video(width=720, height=576, aspect=(64, 45)))
    assert (made.width, made.height, made.rung) == (1024, 576, "576p")
    turned = decided(with_video(rotation=270))
    assert (turned.width, turned.height) == (720, 1280)


def test_mp4_that_begins_late_does_not_break_off():
    """Its length is counted from zero, as Matroska's is, not from where its first picture is shown."""
    late = replace(WEB_READY, start_s=1.4, duration_s=WEB_READY.duration_s + 1.4, reaches_s=WEB_READY.reaches_s + 1.4)
    assert plan.damage(late) is None
    assert decided(late).web_ready
    assert plan.damage(replace(late, reaches_s=late.reaches_s / 2)) is not None


def test_slow_motion_becomes_60_frames_when_its_rate_is_beyond_the_level():
    assert decided(with_video(codec="hevc", packets=replace(PACKETS, count=2400))).frame_rate == 60.0
    assert decided(with_video(codec="hevc", packets=replace(PACKETS, count=1200))).frame_rate is None


@pytest.mark.parametrize("claim", [250.0, 1000.0, 0.0])
def test_rate_that_the_header_claims_makes_no_pictures_that_the_source_does_not_have(claim):
    made = decided(with_video(codec="hevc", frame_rate=claim, real_frame_rate=claim))
    assert made.frame_rate is None
    assert {rung.frame_rate for rung in rungs.lower(made)} == {None}


def test_transport_stream_whose_clock_jumps_by_a_day_is_made():
    """ffmpeg closes the gap, in picture and sound alike."""
    jumped = replace(PACKETS, longest_gap_s=86_400.0, ends_s=86_410.0)
    facts = replace(
        MKV, format="mpegts", video=(replace(VIDEO, packets=jumped),), audio=(replace(AC3, packets=jumped),)
    )
    assert decided(facts).makes_film


PICTURES = {
    "music": replace(WEB_READY, video=()),
    "cover art": replace(WEB_READY, format="mp3", video=(replace(VIDEO, codec="mjpeg", is_still=True),)),
    "photo": replace(WEB_READY, format="jpeg_pipe"),
    "animation": replace(WEB_READY, format="gif"),
    "heic": replace(WEB_READY, brand="heic"),
}


@pytest.mark.parametrize("facts", PICTURES.values(), ids=PICTURES)
def test_file_is_stored_when_nothing_in_it_moves(facts):
    made = decided(facts, "song.mp3", "audio/mpeg")
    assert (made.action, made.state) == (PlanAction.NOTHING, FileState.STORED)
    assert made.reasons == ("it has no moving picture",)


@pytest.mark.parametrize(
    ("name", "media_type", "state"),
    [
        ("letter.txt", "text/plain", FileState.STORED),
        ("mkv", "", FileState.STORED),
        ("folder.mkv/letter", "", FileState.STORED),
        ("source.ts", "text/plain", FileState.STORED),
        ("film.mkv", "", FileState.FAILED),
        ("a/b/FILM.MP4", "application/octet-stream", FileState.FAILED),
        ("film", "video/mp4", FileState.FAILED),
    ],
)
def test_no_film_is_a_failure_only_when_name_or_media_type_says_video(name, media_type, state):
    for facts in (None, PICTURES["music"]):
        assert decided(facts, name, media_type).state is state


def test_problem_of_the_probe_is_the_reason():
    made = plan.decide(None, name="film.mp4", media_type="", problem="The MP4's index is missing.")
    assert (made.state, made.reasons) == (FileState.FAILED, ("The MP4's index is missing.",))


OBSTACLES = {
    "its video codec is unknown to this ffmpeg": with_video(codec=""),
    "its video stream is empty": with_packets(count=0),
    "its picture of 16000x16000 is too large; 8192x4352 is the most": with_video(width=16000, height=16000),
    "the size of its picture is impossible": with_video(width=0, height=0),
    "it claims to last 100 hours; 48 are the most": replace(WEB_READY, duration_s=360_000.0),
    "there are 29 hours between two of its pictures; 4 are the most": with_packets(longest_gap_s=104_400.0),
    "there are 40 hours between two pieces of its sound; 4 are the most": replace(
        WEB_READY, audio=(replace(AAC, packets=replace(PACKETS, longest_gap_s=144_000.0)),)
    ),
    "60 hours of its sound are empty; 12 are the most": replace(
        WEB_READY, audio=tuple(replace(AAC, index=n, packets=PacketFacts(count=3, ends_s=10_830.0)) for n in range(20))
    ),
}


@pytest.mark.parametrize("reason", OBSTACLES)
def test_film_fails_with_a_plain_reason_when_its_picture_cannot_be_made(reason):
    made = decided(OBSTACLES[reason], "anything")
    assert (made.state, made.reasons) == (FileState.FAILED, (reason,))
    assert not made.makes_film


def test_sound_that_nothing_can_decode_is_left_out():
    made = decided(replace(MKV, audio=(replace(AAC, codec=""), AAC)))
    assert made.audio == (AAC,)
