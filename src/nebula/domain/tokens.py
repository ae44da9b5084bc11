"""What happens when a refresh token is presented: one table.

A refresh token is used once: using it spends it and issues its successor, in the same family (one sign-in). If a spent
token is presented again, either the answer was lost on its way (for example, a laptop was closed at that moment) or two
parties have the family. The first is assumed as long as nobody has used what was issued in the token's place: neither
the successor itself nor the access token that came with it. In that case a sibling is issued and the unused successor
dies.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RefreshMove(StrEnum):
    """What happens to a presented refresh token."""

    ROTATE = "rotate"  # it is spent, its successor is issued
    SIBLING = "sibling"  # its successor never arrived: the successor dies, another one is issued
    REVOKE = "revoke"  # two parties have this family, and nobody can tell whose it is: the family ends
    REFUSE = "refuse"  # the token is worthless, but it is no sign of theft


@dataclass(frozen=True)
class TokenFacts:
    """What the database says about a refresh token that was presented."""

    session_lives: bool  # neither revoked nor expired, and its account is not disabled
    has_expired: bool
    is_spent: bool
    is_dead: bool  # a sibling replaced it before it was used
    heirs_were_used: bool  # a token that was issued in its place is spent, or its access token was used


def decide(token: TokenFacts) -> RefreshMove:
    """Return what happens to the token and its family."""
    if not token.session_lives or token.has_expired:
        return RefreshMove.REFUSE
    if not token.is_spent and not token.is_dead:
        return RefreshMove.ROTATE
    if token.heirs_were_used:
        return RefreshMove.REVOKE
    # A dead token that arrives while its sibling is unused is a late answer: not theft, but it stays invalid.
    return RefreshMove.REFUSE if token.is_dead else RefreshMove.SIBLING
