"""Who counts as watching."""

from __future__ import annotations

from nebula.api.viewers import RECENT_S, Viewers


def test_viewer_counts_while_bytes_of_a_film_move() -> None:
    now = 0.0
    viewers = Viewers(lambda: now)
    watching, pausing = viewers.enter("video/mp4"), viewers.enter("video/mp4")
    viewers.enter("application/zip").moved()
    assert viewers.count() == 2
    now = RECENT_S + 1
    watching.moved()
    assert viewers.count() == 1
    pausing.moved()
    assert viewers.count() == 2
    viewers.leave(watching)
    viewers.leave(watching)
    assert viewers.count() == 1
