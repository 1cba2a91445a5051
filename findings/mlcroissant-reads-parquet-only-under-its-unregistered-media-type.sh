#!/usr/bin/env bash
# One would guess: Parquet's registered media type (IANA, 2024), application/vnd.apache.parquet, is what `encodingFormat` wants.
# What happens (mlcroissant 1.1.1): a document that says so is valid, without an error or a warning about it, and then no row of it
# loads ("None of the provided encoding formats … returned a valid pandas dataframe"); under application/x-parquet it does.
# Source: mlcroissant/_src/operation_graph/operations/read.py and _src/core/constants.py.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q mlcroissant==1.1.1 pyarrow==26.0.1
cat >"$work/run.py" <<'P'
import hashlib, json, logging, sys
from importlib.metadata import version
from pathlib import Path

import mlcroissant, pyarrow as pa, pyarrow.parquet as pq

logging.disable(logging.CRITICAL)
at = Path(sys.argv[1])
pq.write_table(pa.table({"x": [1, 2]}), at / "a.parquet")
field = {"@type": "cr:Field", "@id": "r/x", "name": "x", "dataType": "sc:Integer",
         "source": {"fileObject": {"@id": "a.parquet"}, "extract": {"column": "x"}}}
from mlcroissant._src.core.rdf import make_context

def outcome(kind):
    file = {"@type": "cr:FileObject", "@id": "a.parquet", "name": "a", "contentUrl": "a.parquet", "encodingFormat": kind,
            "sha256": hashlib.sha256((at / "a.parquet").read_bytes()).hexdigest()}
    document = {"@context": make_context(), "@type": "sc:Dataset", "name": "n", "description": "d", "url": "https://example.org",
                "conformsTo": "http://mlcommons.org/croissant/1.1", "license": "CC0-1.0", "distribution": [file],
                "recordSet": [{"@type": "cr:RecordSet", "@id": "r", "name": "r", "field": [field]}]}
    (at / "croissant.json").write_text(json.dumps(document))
    data = mlcroissant.Dataset(jsonld=str(at / "croissant.json"))
    errors = len(data.metadata.ctx.issues.errors)
    try:
        return errors, len(list(data.records("r")))
    except Exception as error:
        return errors, type(error).__name__

found = {kind: outcome(kind) for kind in ("application/vnd.apache.parquet", "application/x-parquet")}
print("mlcroissant", version("mlcroissant"), found)
sys.exit(found != {"application/vnd.apache.parquet": (0, "GenerationError"), "application/x-parquet": (0, 2)})
P
"$work/venv/bin/python" "$work/run.py" "$work"
