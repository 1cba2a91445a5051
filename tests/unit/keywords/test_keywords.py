"""Keyword lists: what matches, stems, lists that are none; ACAV100M's own, where they lie beside the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import needs
from winnow import keywords
from winnow.core.errors import ConfigError


def write(folder: Path, **lists: str) -> Path:
    for name, text in lists.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def match(folder: Path, text: str, stemmed: tuple[str, ...] = ()) -> dict[str, str]:
    found = keywords.words(keywords.plain_text(text))
    return {each.name: hit for each in keywords.load(folder, stemmed) if (hit := each.first_match(found))}


def test_the_words_of_a_keyword_stand_one_after_the_other(tmp_path: Path) -> None:
    lists = write(tmp_path, games="keyword,,\nBattle,Royale,\ngta,,\n,,\n")
    assert match(lists, "Best BATTLE ROYALE moments") == {"games": "battle royale"}
    assert match(lists, "battle of the royale") == {}
    assert match(lists, "gtax and regta") == {}
    assert match(lists, "#GTA!") == {"games": "gta"}
    assert match(lists, "keyword") == {}, "the header is no keyword"


def test_addresses_are_no_text(tmp_path: Path) -> None:
    lists = write(tmp_path, games="keyword\nminecraft\n")
    assert match(lists, "see https://a.example/minecraft and http://minecraft.example") == {}
    assert match(lists, "see minecraft") == {"games": "minecraft"}


def test_keywords_and_text_are_split_by_one_rule(tmp_path: Path) -> None:
    lists = write(tmp_path, artist="keyword\nP!nk\nGuns N' Roses\n東京\n")
    assert match(lists, "P!nk live") == {"artist": "p nk"}
    assert match(lists, "guns n' roses") == {"artist": "guns n roses"}
    assert match(lists, "東京 2020") == {"artist": "東京"}


def test_stemmed_lists_pass_over_stop_words_and_endings(tmp_path: Path) -> None:
    lists = write(
        tmp_path, tutorial="keyword\nphotoshop tutorials\nweb design\n", plain="keyword\nphotoshop tutorials\n"
    )
    text = "Photoshop: the 2 best tutorial"
    assert match(lists, text) == {}
    assert match(lists, "photoshop for the tutorial", ("tutorial",)) == {"tutorial": "photoshop tutori"}
    assert match(lists, "web designing", ("tutorial",)) == {"tutorial": "web design"}, (
        "a keyword's word is no stop word"
    )


def test_lists_are_known_by_their_content(tmp_path: Path) -> None:
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    for folder in (one, two, three):
        folder.mkdir()
    write(one, a="keyword\nx y\nz\n")
    write(two, a="other header,\nz,\nx,y\n")
    write(three, a="keyword\nx y\nw\n")
    assert keywords.lists_digest(one) == keywords.lists_digest(two) != keywords.lists_digest(three)


def test_what_is_no_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no keyword list"):
        keywords.load(tmp_path)
    write(tmp_path, good="keyword\na\n")
    with pytest.raises(ConfigError, match=r"stemmed names missing, .* it has good"):
        keywords.load(tmp_path, ("missing",))
    write(tmp_path, **{"bad name": "keyword\na\n"})
    with pytest.raises(ConfigError, match=r"bad name\.csv: a list's name becomes a column"):
        keywords.load(tmp_path)
    (tmp_path / "bad name.csv").unlink()
    (tmp_path / "bytes.csv").write_bytes(b"keyword\n\xff\xfe\n")
    with pytest.raises(ConfigError, match=r"bytes\.csv is not a CSV file in UTF-8"):
        keywords.load(tmp_path)


def test_the_shipped_lists_are_those_that_rules_name() -> None:
    assert {each.name for each in keywords.load(keywords.FOLDER, ("tutorial",))} == {
        "animation",
        "artist",
        "gaming",
        "officialvideo",
        "tutorial",
    }


def test_acavs_lists_as_they_are() -> None:
    lists = {each.name: each for each in keywords.load(needs.data("acav/keywords"), ("tutorial",))}
    assert set(lists) == {"animation", "artist", "gaming", "officialvideo", "tutorial"}

    def hits(text: str) -> set[str]:
        return {name for name, each in lists.items() if each.first_match(keywords.words(text))}

    assert hits("Roddy Ricch - The Box (Official Video)") == {"artist", "officialvideo"}
    assert hits("a Photoshop tutorial") == hits("tutorials of photoshop") == {"tutorial"}
    assert hits("Pokémon and Minecraft") == {"animation", "gaming"}
    assert hits("my dog barks at the postman") == set()
