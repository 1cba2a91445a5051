"""What a licence, as lists word it, lets an export pass on."""

from __future__ import annotations

import pytest

from winnow.delivery.licences import OWN, UNKNOWN, rights


@pytest.mark.parametrize(
    ("text", "own", "licence", "share", "adapt"),
    [
        ("CC-BY-4.0", False, "CC-BY-4.0", True, True),
        ("cc by 3.0", False, "CC-BY-3.0", True, True),
        ("http://creativecommons.org/licenses/by-nc-nd/2.0/", False, "CC-BY-NC-ND-2.0", True, False),
        ("Creative Commons Attribution licence (reuse allowed)", False, "CC-BY", True, True),
        ("creativeCommon", False, "CC-BY", True, True),
        ("CC0", False, "CC0-1.0", True, True),
        ("Public Domain", False, "PDM-1.0", True, True),
        ("youtube", False, "youtube", False, False),
        ("Standard YouTube License", False, "Standard YouTube License", False, False),
        ("unknown", True, "unknown", False, False),
        ("All rights reserved", True, "All rights reserved", False, False),
        ("by nobody", False, "by nobody", False, False),
        (None, True, OWN, True, True),
        ("  ", False, UNKNOWN, False, False),
    ],
)
def test_a_wording(text: str | None, own: bool, licence: str, share: bool, adapt: bool) -> None:
    found = rights(text, own)
    assert (found.licence, found.share, found.adapt) == (licence, share, adapt)
    assert (found.url is not None) == (share and licence != OWN)
