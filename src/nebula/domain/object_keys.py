"""Object keys: ids only, never a person's words, so that a rename moves no byte and a key gives nothing away."""

from __future__ import annotations


def original(upload_id: str) -> str:
    """Key of the bytes that an upload stores; they stay there when the upload becomes a content."""
    return f"originals/{upload_id}"


def rendition(job_id: str, attempt: int) -> str:
    """Key of a job's result: the attempt is in it, so that a late attempt overwrites nothing."""
    return f"renditions/{job_id}/{attempt}.mp4"


def subtitles(job_id: str, attempt: int, number: int) -> str:
    """Key of one of the subtitles that a job made; `number` is the stream's in the source."""
    return f"subtitles/{job_id}/{attempt}-{number}.vtt"


def job_prefix(job_id: str) -> str:
    """Prefix of what a job keeps while it runs (chunks)."""
    return f"jobs/{job_id}/"


def chunk(job_id: str, number: int, attempt: int) -> str:
    """Key of a chunk of a job's film; the attempt is in it for the same reason."""
    return f"{job_prefix(job_id)}{number}-{attempt}.mp4"
