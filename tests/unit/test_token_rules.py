"""The table of domain/tokens.py: every row of it."""

from __future__ import annotations

from itertools import product

import pytest

from nebula.domain.tokens import RefreshMove, TokenFacts, decide


def token_facts(**facts: bool) -> TokenFacts:
    fresh = {"session_lives": True, "has_expired": False, "is_spent": False, "is_dead": False, "heirs_were_used": False}
    return TokenFacts(**(fresh | facts))


@pytest.mark.parametrize(
    ("facts", "move"),
    [
        ({}, RefreshMove.ROTATE),
        ({"is_spent": True}, RefreshMove.SIBLING),
        ({"is_spent": True, "heirs_were_used": True}, RefreshMove.REVOKE),
        ({"is_dead": True}, RefreshMove.REFUSE),
        ({"is_dead": True, "heirs_were_used": True}, RefreshMove.REVOKE),
        ({"has_expired": True}, RefreshMove.REFUSE),
        ({"has_expired": True, "is_spent": True, "heirs_were_used": True}, RefreshMove.REFUSE),
        ({"session_lives": False}, RefreshMove.REFUSE),
        ({"session_lives": False, "is_spent": True}, RefreshMove.REFUSE),
    ],
)
def test_move_follows_from_the_standing(facts: dict[str, bool], move: RefreshMove) -> None:
    assert decide(token_facts(**facts)) is move


def test_nothing_is_issued_when_the_session_has_ended_or_the_token_has_expired() -> None:
    for lives, expired, spent, dead, used in product([True, False], repeat=5):
        if lives and not expired:
            continue
        assert decide(TokenFacts(lives, expired, spent, dead, used)) is RefreshMove.REFUSE


def test_nothing_is_issued_for_a_used_token_when_its_heirs_were_used() -> None:
    for spent, dead in [(True, False), (False, True), (True, True)]:
        token = token_facts(is_spent=spent, is_dead=dead, heirs_were_used=True)
        assert decide(token) is RefreshMove.REVOKE
