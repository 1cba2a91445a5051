"""The tar beside a table: WebDataset's own bytes, without its imports."""

from __future__ import annotations

import hashlib
from pathlib import Path

from winnow.core import shard_tar

#: Of what webdataset 1.0.2's TarWriter makes of the same files (encoder=False, mtime=0, user, group, mode=0o644).
WEBDATASET = "c2330c6b571ce6ce9597e3b94b1301d8d5d8252fce903fbdb5bc3906ca1fe88f"


def test_a_tar_is_what_webdataset_would_write(tmp_path: Path) -> None:
    files = {"a1.json": b"{}", "a1.mp4": b"film" * 300}
    spool = shard_tar.Spool(tmp_path / "spool")
    kept = {name: spool.keep(files[name]) for name in reversed(files)}
    shard_tar.write(tmp_path / "a.tar", [(name, kept[name]) for name in files])
    spool.close()
    assert hashlib.sha256((tmp_path / "a.tar").read_bytes()).hexdigest() == WEBDATASET
    members = shard_tar.ShardTar(tmp_path / "a.tar")
    assert {name: members.read(name) for name in members.names()} == files
    members.close()
