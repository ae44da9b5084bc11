"""A film made twice, in one piece and in chunks, and what can be held against one another of the two."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

from nebula.domain import plan as plans
from nebula.domain.chunks import Chunk
from nebula.domain.media import MediaFacts
from nebula.domain.plan import Plan
from nebula.media.ffmpeg import arguments
from nebula.media.ffmpeg.control import Control
from nebula.media.ffmpeg.tools import Tools
from nebula.media.making import chunking, film
from nebula.media.making.chunking import Part
from nebula.media.reading import probe
from nebula.media.verifying import chunk_checks, film_checks
from nebula.media.verifying.chunk_checks import VerifiedChunk
from nebula.media.verifying.film_checks import VerifiedFilm

TOOLS = Tools()
KINDS = ("video", "audio")


@dataclass
class Film:
    """One source on its way to a film in chunks of a length that suits a clip."""

    path: Path
    folder: Path
    tools: Tools = TOOLS
    least_s: float = 1.8  # the clips have a key frame a second
    facts: MediaFacts = field(init=False)
    plan: Plan = field(init=False)
    chunks: tuple[Chunk, ...] = field(init=False)

    def __post_init__(self) -> None:
        facts = probe.probe(str(self.path))
        assert facts is not None
        self.facts = facts
        self.plan = encoding(facts)
        self.chunks = chunking.list_chunks(
            str(self.path), facts, self.plan, least_s=self.least_s, most_s=2 * self.least_s
        )

    @property
    def control(self) -> Control:
        return Control(self.tools)

    @property
    def sound(self) -> Path | None:
        return self.folder / "sound.mp4" if self.plan.audio else None

    def part(self, chunk: Chunk) -> Path:
        return self.folder / f"chunk {chunk.number}'s.mp4"

    def make_chunk(self, chunk: Chunk) -> Path:
        target = self.part(chunk)
        chunking.make_chunk(str(self.path), self.facts, self.plan, chunk, target, threads=1, control=self.control)
        return target

    def verify_chunk(self, chunk: Chunk, **options) -> VerifiedChunk:
        return chunk_checks.verify_chunk(self.plan, chunk, self.part(chunk), **options)

    def make_sound(self) -> None:
        assert self.sound is not None
        chunking.make_sound(str(self.path), self.facts, self.plan, self.sound, control=self.control)

    def verify_sound(self, **options) -> film_checks.VerifiedSound:
        assert self.sound is not None
        return film_checks.verify_sound(str(self.path), self.facts, self.plan, self.sound, **options)

    def make_all(self) -> list[Part]:
        """Make and verify every chunk and the sound."""
        fingerprint = None
        parts = []
        for chunk in self.chunks:
            path = self.make_chunk(chunk)
            verified = self.verify_chunk(chunk, fingerprint=fingerprint)
            fingerprint = verified.fingerprint
            parts.append(Part(path, verified.start_s))
        if self.sound:
            self.make_sound()
            self.verify_sound()
        return parts

    def join(self, parts: list[Part], target: Path) -> VerifiedFilm:
        chunking.join(parts, self.sound, self.facts, self.plan, target, control=self.control)
        return film_checks.verify(str(self.path), self.facts, self.plan, target, parts_verified=True)

    def make_in_one_piece(self, target: Path) -> None:
        film.make(str(self.path), self.facts, self.plan, target, threads=1)

    def source_pictures(self) -> tuple[list[str], list[str]]:
        """Return the digests of the decoded pictures that go into the one encoder, and into those of the chunks."""
        source = str(self.path)
        at_once = _digests(arguments.film(source, replace(self.plan, audio=()), Path("x"), threads=1))
        in_chunks = [_digests(arguments.chunk(source, self.plan, chunk, Path("x"), threads=1)) for chunk in self.chunks]
        return at_once, [digest for digests in in_chunks for digest in digests]


def encoding(facts: MediaFacts) -> Plan:
    """Return the plan that encodes a source, even one whose picture would be copied."""
    decided = plans.decide(facts, name="", media_type="")
    if decided.encodes_video:
        return decided
    video = facts.moving[0]
    others = tuple(replace(one, profile="High 10") if one is video else one for one in facts.video)
    return replace(plans.decide(replace(facts, video=others), name="", media_type=""), video=video)


def times(path: Path) -> tuple[list[float], list[float]]:
    """Return when each picture is shown, and when each packet of the first sound is heard."""
    argv = ["ffprobe", "-v", "error", "-show_entries", "packet=codec_type,stream_index,pts_time", "-of", "json"]
    done = subprocess.run([*argv, str(path)], capture_output=True, text=True, check=True)
    packets = [one for one in json.loads(done.stdout)["packets"] if one["stream_index"] < 2]
    shown, heard = ([float(one["pts_time"]) for one in packets if one["codec_type"] == kind] for kind in KINDS)
    return sorted(shown), sorted(heard)


def likeness(film_path: Path, other: Path) -> list[float]:
    """Return how alike each two pictures are (SSIM): 1 is the same."""
    pair = "[0:v]settb=AVTB,setpts=N[a];[1:v]settb=AVTB,setpts=N[b];[a][b]ssim=stats_file=-"
    argv = ["ffmpeg", "-v", "error", "-i", str(film_path), "-i", str(other), "-lavfi", pair, "-f", "null", "-"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return [float(found) for found in re.findall(r"All:([\d.]+)", done.stdout)]


def _digests(argv: list[str]) -> list[str]:
    """Run the command with its encoder left out; return a digest of each picture that would have gone into it."""
    end = argv.index("-vf") + 2
    count = argv[argv.index("-frames:v") :][:2] if "-frames:v" in argv else []
    argv = [*argv[:end], "-fps_mode", "passthrough", "-an", *count, "-f", "framemd5", "-"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return [line.split(",")[-1].strip() for line in done.stdout.splitlines() if re.match(r"\d+,", line)]
