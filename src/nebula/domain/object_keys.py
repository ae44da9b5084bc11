"""Object keys consist of ids only, never of people's words: a rename moves no bytes, and a key reveals nothing."""

from __future__ import annotations


def original(upload_id: str) -> str:
    """Return the key of the bytes that an upload stores. The bytes stay there when the upload becomes a content."""
    return f"originals/{upload_id}"


def rendition(job_id: str, attempt: int) -> str:
    """Return the key of a job's result. It contains the attempt, so that a late attempt overwrites nothing."""
    return f"renditions/{job_id}/{attempt}.mp4"


def subtitles(job_id: str, attempt: int, number: int) -> str:
    """Return the key of one of the subtitles that a job made. `number` is the stream's number in the source."""
    return f"subtitles/{job_id}/{attempt}-{number}.vtt"


def job_prefix(job_id: str) -> str:
    """Return the prefix of the objects that a job keeps while it runs (chunks)."""
    return f"jobs/{job_id}/"


def chunk(job_id: str, number: int, attempt: int) -> str:
    """Return the key of a chunk of a job's film. It contains the attempt, so that a late attempt overwrites nothing."""
    return f"{job_prefix(job_id)}{number}-{attempt}.mp4"
