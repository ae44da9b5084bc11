"""The tables of states: every state stands in them, and ended means ended."""

from __future__ import annotations

import pytest

from nebula.domain.states import JOB_MOVES, LIVE_JOB_STATES, UPLOAD_MOVES, JobState, UploadState


def test_every_state_has_its_moves() -> None:
    assert set(JOB_MOVES) == set(JobState)
    assert set(UPLOAD_MOVES) == set(UploadState)


@pytest.mark.parametrize("state", sorted(LIVE_JOB_STATES))
def test_a_live_job_can_always_be_cancelled(state: JobState) -> None:
    assert JobState.CANCELLED in JOB_MOVES[state]


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
def test_an_ended_job_can_only_be_queued_anew(state: JobState) -> None:
    assert JOB_MOVES[state] == {JobState.QUEUED}


@pytest.mark.parametrize("state", [UploadState.DONE, UploadState.FAILED])
def test_an_ended_upload_stays_ended(state: UploadState) -> None:
    assert UPLOAD_MOVES[state] == frozenset()
