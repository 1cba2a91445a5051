"""The ten kinds of thing that happen in the world, and the words people use for them.

Every class has one way to look, one way to sound and one rhythm; all three are given by its name (`visual.SCENES`,
`sound.VOICES`, `timeline.RHYTHMS`). Words are kept apart from pixels because a mismatched video keeps the title of
what it shows, as a wrongly dubbed video does.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """What an uploader would write: label in the lists, nouns and places for titles, one line of description."""

    label: str
    things: tuple[str, ...]
    places: tuple[str, ...]
    line: str


CLASSES: dict[str, Words] = {
    "bell": Words(
        "church bell",
        ("Old church bell", "Bronze bell", "The noon bell", "Temple bell"),
        ("in the tower", "on a Sunday", "at the chapel", "after the repair"),
        "Ringing by hand, no edits.",
    ),
    "drum": Words(
        "drum",
        ("Hand drum", "Red tom drum", "Drum practice", "March drum"),
        ("in the garage", "before the parade", "slow groove", "first take"),
        "Warming up before the rehearsal.",
    ),
    "violin": Words(
        "bowed string",
        ("Violin exercise", "Long bows", "Cello tone study", "Open strings"),
        ("in the kitchen", "day 12", "for my teacher", "without vibrato"),
        "Slow practice, mistakes included.",
    ),
    "wind": Words(
        "wind in trees",
        ("Wind in the trees", "Windy hedge", "Gusts in the garden", "Birch in a storm"),
        ("before the rain", "from the balcony", "in October", "near the lake"),
        "No music, only the weather.",
    ),
    "waterfall": Words(
        "waterfall",
        ("Small waterfall", "Weir after rain", "Mountain stream", "Garden cascade"),
        ("on the north trail", "in spring", "below the bridge", "close up"),
        "Recorded on a short hike.",
    ),
    "engine": Words(
        "engine",
        ("Stationary engine", "Flywheel running", "Old diesel", "Workshop motor"),
        ("cold start", "after the service", "at the fair", "under load"),
        "Runs again after two winters.",
    ),
    "bird": Words(
        "bird song",
        ("Yellow finch", "Bird on a branch", "Canary singing", "Morning warbler"),
        ("at the feeder", "at dawn", "in the park", "behind the house"),
        "It came back three days in a row.",
    ),
    "harp": Words(
        "plucked string",
        ("Small harp", "Lyre improvisation", "Plucked strings", "Homemade harp"),
        ("in the living room", "new strings", "quiet evening", "tuning check"),
        "Built it myself over the winter.",
    ),
    "siren": Words(
        "siren",
        ("Ambulance passing", "Siren test", "Fire engine", "Emergency vehicle"),
        ("at the depot", "on Main Street", "monthly test", "in the rain"),
        "Standing at a safe distance.",
    ),
    "clockwork": Words(
        "ticking",
        ("Clock movement", "Ratchet wheel", "Escapement close-up", "Tower clock gear"),
        ("on the bench", "after oiling", "running slow", "with new pallet"),
        "Listen for the uneven tick.",
    ),
}
"""Class name → words, in a fixed order: the order is part of what a seed means."""
