"""Current: the small file that says which release counts. In a bucket its second line is the token of the writer that
moved it last (`winnow.release.in_bucket`), and its first a dash before the first release."""

from __future__ import annotations

CURRENT = "releases/current"
NONE = "-"


def naming(data: bytes | None) -> tuple[str | None, int]:
    """The id of the release that its bytes name (None for none), and the last writer's token (0 without one)."""
    name, *token = (data or b"").decode(errors="replace").split() or [NONE]
    return (None if name == NONE else name), int(token[0]) if token and token[0].isdecimal() else 0


def text_of(release: str | None, token: int = 0) -> bytes:
    """The bytes that name a release."""
    return "".join(f"{line}\n" for line in (release or NONE, token or "") if line).encode()
