"""Croissant: `croissant.json`, the export's description for machines (Croissant 1.1, with its RAI vocabulary).

Its record sets are the tables of the splits; every file is listed with its SHA-256."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from winnow.delivery.rows import COLUMNS

if TYPE_CHECKING:
    from winnow.delivery.card import Facts

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_ENCODINGS = {
    "tar": "application/x-tar",
    "parquet": "application/x-parquet",
    "json": "application/json",
    "mp4": "video/mp4",
    "flac": "audio/flac",
    "md": "text/markdown",
    "cff": "application/yaml",
}
_TYPES = {
    "VARCHAR": "sc:Text",
    "DOUBLE": "cr:Float64",
    "BIGINT": "cr:Int64",
    "INTEGER": "cr:Int32",
    "BOOLEAN": "sc:Boolean",
}


def files(facts: Facts, listed: Mapping[str, dict]) -> dict[str, str]:
    """The text by file name; `listed`: the other files of the export."""
    return {"croissant.json": json.dumps(describe(facts, listed), indent=1, ensure_ascii=False) + "\n"}


def describe(facts: Facts, listed: Mapping[str, dict]) -> dict[str, object]:
    """The document."""
    licences = sorted({row["address"] or row["licence"] for row in facts.licences})
    clips = sum(at["clips"] for at in facts.splits.values())
    dropped = ", ".join(f"{row['reason']} {row['clips']}" for row in facts.tables["rpt_reasons"]) or "none"
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": f"winnow-{facts.release}",
        "description": f"{clips} audio-visual clips of Winnow's release {facts.release}: {', '.join(facts.splits)}.",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "citeAs": f"Winnow release {facts.release}",
        "license": licences if len(licences) > 1 else licences[0],
        **({"datePublished": facts.published_on} if facts.published_on else {}),
        "url": f"urn:winnow:release:{facts.release}",
        "version": f"1.0.0+{facts.release}",
        "rai:dataCollection": "Videos of published or own lists, cut into clips; licences are each clip's own.",
        "rai:dataPreprocessingProtocol": ["Cut by time or shot, measured, kept or dropped by the release's rules."],
        "rai:dataManipulationProtocol": f"Dropped before release, by rule: {dropped}.",
        "rai:dataLimitations": ["Scores are of one scorer; labels and captions are the lists', not checked singly."],
        "rai:dataBiases": ["What the lists hold: see the labels and licences in README.md."],
        "rai:personalSensitiveInformation": ["People may be seen and heard; nothing was made anonymous."],
        "rai:dataUseCases": ["Learning from pictures and sounds that belong together."],
        "rai:dataReleaseMaintenance": "Releases are never changed; a later one names what it no longer holds.",
        "distribution": [_file(key, entry) for key, entry in sorted(listed.items())],
        "recordSet": [_splits(facts), *(_record_set(split) for split in facts.splits)],
    }


def _file(key: str, entry: Mapping) -> dict[str, object]:
    return {
        "@type": "cr:FileObject",
        "@id": key,
        "name": key.replace("/", "_"),
        "contentUrl": key,
        "contentSize": f"{entry['bytes']} B",
        "sha256": entry["sha256"],
        "encodingFormat": _ENCODINGS.get(key.rpartition(".")[2], "application/octet-stream"),
    }


def _splits(facts: Facts) -> dict[str, object]:
    urls = {"train": "cr:TrainingSplit", "val": "cr:ValidationSplit", "test": "cr:TestSplit"}
    fields = [
        {"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"},
        {"@type": "cr:Field", "@id": "splits/url", "name": "url", "dataType": "sc:URL"},
    ]
    data = [{"splits/name": split, "splits/url": urls.get(split, "cr:Split")} for split in facts.splits]
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": fields,
        "data": data,
    }


def _record_set(split: str) -> dict[str, object]:
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "description": f"The clips of split {split}.",
        "key": {"@id": f"{split}/id"},
        "field": list(_fields(split)),
    }


def _fields(split: str) -> Iterator[dict[str, object]]:
    for name, (kind, text) in COLUMNS.items():
        source = {"fileObject": {"@id": f"tables/{split}.parquet"}, "extract": {"column": name}}
        field: dict[str, object] = {
            "@type": "cr:Field",
            "@id": f"{split}/{name}",
            "name": name,
            "description": text,
            "dataType": _TYPES[kind.removesuffix("[]")],
            "source": source,
        }
        if kind.endswith("[]"):
            field |= {"isArray": True, "arrayShape": "-1"}
        if name == "split":
            field["references"] = {"field": {"@id": "splits/name"}}
        yield field
