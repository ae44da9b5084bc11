"""What happens to a refresh token that is presented: one table.

A refresh token is used once: using it spends it and issues its successor, in the same family (one sign-in). A spent
token that comes again means either that the answer was lost on its way (a lid closed in the middle) or that two hold
the family. The first is believed as long as nobody has used what was issued in its place, be it the successor itself or
the access token that came with it: then a sibling is issued, and the unused successor dies.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RefreshMove(StrEnum):
    """What a presented refresh token leads to."""

    ROTATE = "rotate"  # it is spent, its successor is issued
    SIBLING = "sibling"  # its successor never arrived: that one dies, another is issued
    REVOKE = "revoke"  # two hold this family: nobody can tell whose it is, so it ends
    REFUSE = "refuse"  # it is worth nothing, and says nothing of theft


@dataclass(frozen=True)
class TokenStanding:
    """What the rows say of a refresh token that was presented."""

    session_lives: bool  # neither revoked nor run out, and its account is not disabled
    has_expired: bool
    is_spent: bool
    is_dead: bool  # a sibling took its place before it was used
    heirs_were_used: bool  # one that was issued in its place is spent, or its access token was seen


def decide(token: TokenStanding) -> RefreshMove:
    """Return what becomes of the token and its family."""
    if not token.session_lives or token.has_expired:
        return RefreshMove.REFUSE
    if not token.is_spent and not token.is_dead:
        return RefreshMove.ROTATE
    if token.heirs_were_used:
        return RefreshMove.REVOKE
    # A dead token that comes while its sibling lies unused is a late answer: no theft, no way back either.
    return RefreshMove.REFUSE if token.is_dead else RefreshMove.SIBLING
