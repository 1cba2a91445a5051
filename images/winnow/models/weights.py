"""Checkpoints of pretrained models: which there are, and how one becomes tensors without trusting it.

A catalogue (`winnow/models/weights.toml`, and over it the user's own `WINNOW_WEIGHTS/weights.toml`) names each
checkpoint's file, architecture, preprocessing, licence and SHA-256. A file is read once, its digest is compared, and
only those very bytes are parsed: as safetensors, or as a pickle that may hold tensors and nothing else. Nothing is
downloaded, and a digest that nobody verified is left out rather than made up: such an entry is refused until the user
writes the digest of the file that they trust.

Importing this module is cheap: a stage asks for its model's digest before it knows whether there is work.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import digest

if TYPE_CHECKING:
    import torch

#: The catalogue that comes with Winnow: beside the image that needs it.
SHIPPED = Path(__file__).with_name("weights.toml")
CATALOGUE = "weights.toml"
CATALOGUE_MAX_BYTES = 1 << 20
PICKLED = frozenset({".pt", ".pth", ".bin", ".ckpt"})
SAFE = frozenset({".safetensors"})
#: Exported graphs: a network with its numbers, for onnxruntime (`models.joint`).
GRAPHS = frozenset({".onnx"})
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
Options = TypeVar("Options", bound=BaseModel)


class Weights(BaseModel):
    """One checkpoint of the catalogue.

    model: the architecture's name in its library; file: its path under WINNOW_WEIGHTS; sha256: of the file, None where
    nobody has verified one; preprocessing: what the network expects its input to be (checked by its encoder).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    kind: str
    name: str
    model: str
    file: str
    sha256: str | None = None
    revision: str = ""
    source: str = ""
    licence: str = ""
    preprocessing: dict[str, Any] = Field(default_factory=dict)

    @field_validator("sha256")
    @classmethod
    def _hex(cls, value: str | None) -> str | None:
        if value is not None and not _SHA256.match(value := value.strip().lower()):
            raise ValueError("a SHA-256 is 64 hex characters (`sha256sum FILE` prints it)")
        return value

    @field_validator("file")
    @classmethod
    def _inside(cls, value: str) -> str:
        path = PurePosixPath(value)
        if not value or path.is_absolute() or ".." in path.parts or "\\" in value or "\0" in value:
            raise ValueError("a path inside WINNOW_WEIGHTS is wanted, without '..'")
        known = PICKLED | SAFE | GRAPHS
        if path.suffix.lower() not in known:
            raise ValueError(f"{path.suffix or 'no suffix'}: one of {', '.join(sorted(known))} is wanted")
        return value

    @property
    def label(self) -> str:
        """How tables name it: the catalogue's name and the first 12 hex of its file's digest."""
        return f"{self.name}@{(self.sha256 or '')[:12]}"

    @property
    def digest(self) -> str:
        """Digest of all that results depend on: the file's content, the architecture and the preprocessing."""
        return digest({"sha256": self.sha256, "model": self.model, "preprocessing": self.preprocessing})

    def options(self, kind: type[Options]) -> Options:
        """The preprocessing as an encoder understands it; ConfigError for a wrong value."""
        try:
            return kind.model_validate(self.preprocessing)
        except ValidationError as error:
            raise ConfigError(_invalid(f"preprocessing of {self.kind}.{self.name}", error)) from error


def find(folder: Path, kind: str, name: str) -> Weights:
    """The checkpoint `name` for a stage (`kind`), with a digest to check it against; ConfigError that says what to
    write where when there is none. `folder` is WINNOW_WEIGHTS."""
    known = catalogue(folder)
    entry = known.get(kind, {}).get(name)
    if entry is None:
        listed = ", ".join(sorted(known.get(kind, {}))) or "none"
        raise ConfigError(
            f"no checkpoint {name!r} for {kind}; the catalogue has {listed}. Choose one with --params "
            f'\'{{"model": "NAME"}}\', or describe it in {folder / CATALOGUE} under [{kind}.{name}]'
        )
    try:
        weights = Weights.model_validate({**entry, "kind": kind, "name": name})
    except ValidationError as error:
        raise ConfigError(_invalid(f"[{kind}.{name}] of the weights' catalogue", error)) from error
    if weights.sha256 is None:
        raise ConfigError(
            f"{kind}.{name} has no verified SHA-256, so its checkpoint is not loaded. Get {weights.file} from its "
            f"publisher ({weights.source or 'source not recorded'}), put it into {folder}, and write into "
            f'{folder / CATALOGUE}:\n  [{kind}.{name}]\n  sha256 = "…"   # what `sha256sum` says of the file you trust'
        )
    return weights


def catalogue(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """All entries by kind and name: Winnow's, and merged over them, field by field, those of the user."""
    merged: dict[str, dict[str, dict[str, Any]]] = {}
    for path in (SHIPPED, folder / CATALOGUE):
        for kind, of in entries(path).items():
            for name, entry in of.items():
                before = merged.setdefault(kind, {}).get(name, {})
                after = {**before, **entry}
                if isinstance(entry.get("preprocessing"), dict):
                    after["preprocessing"] = {**before.get("preprocessing", {}), **entry["preprocessing"]}
                merged[kind][name] = after
    return merged


def entries(path: Path) -> dict[str, Mapping[str, Mapping[str, Any]]]:
    """One catalogue's entries by kind and name; none where there is no file."""
    return {kind: _tables(path, of, kind) for kind, of in _tables(path, _toml(path)).items()}


def _toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(CATALOGUE_MAX_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > CATALOGUE_MAX_BYTES:
        raise ConfigError(f"{path} is larger than {CATALOGUE_MAX_BYTES} bytes: no catalogue of weights")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def _tables(path: Path, value: Mapping[str, Any], under: str = "") -> Mapping[str, Mapping[str, Any]]:
    for name, entry in value.items():
        if not isinstance(entry, dict):
            where = f"{under}.{name}" if under else name
            raise ConfigError(f"{path}: {where} stands where a table [KIND.NAME] is wanted")
    return value


def _invalid(what: str, error: ValidationError) -> str:
    lines = [f"  {'.'.join(map(str, e['loc'])) or 'all'}: {e['msg']}" for e in error.errors()]
    return f"{what}:\n" + "\n".join(lines)


def verified_bytes(folder: Path, weights: Weights) -> bytes:
    """The checkpoint's bytes, which have the digest that the catalogue names; ConfigError when the file is not there,
    ContractError when it is another one. What is parsed later are these bytes and not the file again."""
    path = folder / weights.file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the checkpoint of {weights.kind}.{weights.name} cannot be read: {path}: {error.strerror}. Nothing is "
            f"downloaded: get it from its publisher ({weights.source or 'source not recorded'}) and put it there, or "
            f"set WINNOW_WEIGHTS to the folder that has it"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != weights.sha256:
        raise ContractError(
            f"{path} ({len(data)} bytes) is not the checkpoint of {weights.kind}.{weights.name}: its SHA-256 is "
            f"{found}, the catalogue says {weights.sha256}. It was not opened. Get the file again; if you trust this "
            f"one, write its digest into {folder / CATALOGUE} under [{weights.kind}.{weights.name}]"
        )
    return data


def load_state(folder: Path, weights: Weights) -> dict[str, torch.Tensor]:
    """The checkpoint's tensors by name, on the CPU. The usual wrappings are taken off: a dict under `state_dict` or
    `model`, and the prefix `module.` of distributed training. ContractError for a file that is damaged, holds code, or
    holds no tensors."""
    where = f"{folder / weights.file}"
    if Path(weights.file).suffix.lower() in GRAPHS:
        raise ConfigError(f"{where}: {weights.kind} takes a checkpoint's tensors, not an exported graph")
    data = verified_bytes(folder, weights)
    state = _safetensors(data, where) if Path(weights.file).suffix.lower() in SAFE else _pickled(data, where)
    for name in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(name), dict):
            state = state[name]
    import torch

    if not isinstance(state, dict) or not state or not all(isinstance(t, torch.Tensor) for t in state.values()):
        raise ContractError(f"{where} holds no table of tensors (a state dict): it is no checkpoint of {weights.model}")
    return {str(name).removeprefix("module."): tensor for name, tensor in state.items()}


def _safetensors(data: bytes, where: str) -> dict[str, torch.Tensor]:
    import safetensors
    import safetensors.torch

    try:
        return safetensors.torch.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise ContractError(
            f"{where} has the right digest and is no readable safetensors file ({error}): it was damaged before its "
            "digest was taken. Get it again, and write the new digest into the catalogue"
        ) from error


def _pickled(data: bytes, where: str) -> object:
    import torch

    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ContractError(
            f"{where} holds more than tensors, which loading would execute; it was refused ("
            f"{str(error).splitlines()[0]}). Convert it to safetensors where it can do no harm: "
            "images/model/README.md has the recipe"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise ContractError(
            f"{where} has the right digest and cannot be read as a checkpoint ({str(error).splitlines()[0]}). A "
            "TorchScript archive must be converted to safetensors; a damaged file must be got again"
        ) from error


def fill(module: torch.nn.Module, state: Mapping[str, torch.Tensor], weights: Weights) -> None:
    """Load a state dict into a network that has exactly its tensors; ContractError that names those that differ."""
    own = module.state_dict()
    missing, strange = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    both = sorted(set(own) & set(state))
    shaped = [f"{k} {[*state[k].shape]} for {[*own[k].shape]}" for k in both if state[k].shape != own[k].shape]
    if missing or strange or shaped:
        parts = [
            f"{what}: {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
            for what, names in (("missing", missing), ("not of it", strange), ("of another shape", shaped))
            if names
        ]
        raise ContractError(
            f"{weights.file} does not fit {weights.model}; {'; '.join(parts)}. Correct `model` of "
            f"[{weights.kind}.{weights.name}] in the catalogue"
        )
    module.load_state_dict(dict(state))
