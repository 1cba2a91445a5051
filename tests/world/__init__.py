"""A small world whose truth is known: videos made from a seed, the lists that name them, and a server that serves them.

Tests and the demo need media about which everything is known: what is seen, what is heard, whether the two belong
together, and what is wrong with a file or a link. Nothing public has that truth, and nothing public may be fetched
in a test, so the world is made here (see README.md for what it plants and for its limits).
"""

from __future__ import annotations

from tests.world.make import World, make_world
from tests.world.server import WorldServer

__all__ = ["World", "WorldServer", "make_world"]
