#!/usr/bin/env bash
# One would guess: `import jsonschema` costs the same whatever else is installed; optional format checkers load when a
# format is first checked.
# What happens (jsonschema 4.26.0): where rfc3987-syntax 1.1.0 is installed (the extra format-nongpl brings it), the import
# alone compiles a Lark grammar of all URIs and IRIs, 39 times, more than half of the import of dbt; every program that
# imports jsonschema pays it, checked or not. Only its absence (or sys.modules["rfc3987_syntax"] = None) avoids it.
# Source: jsonschema/_format.py, rfc3987_syntax/syntax_helpers.py (make_syntax_validator at module level).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q jsonschema==4.26.0 rfc3987-syntax==1.1.0 lark==1.3.1
cat >"$work/run.py" <<'P'
import sys
from importlib.metadata import version
import lark
made = []
init = lark.Lark.__init__
def counted(self, *args, **kwargs):
    made.append(1)
    init(self, *args, **kwargs)
lark.Lark.__init__ = counted
if sys.argv[1] == "without":
    sys.modules["rfc3987_syntax"] = None
import jsonschema
print("jsonschema", version("jsonschema"), sys.argv[1], "rfc3987-syntax: grammars compiled at import:", len(made))
sys.exit((len(made) > 0) != (sys.argv[1] == "with"))
P
"$work/venv/bin/python" "$work/run.py" with
"$work/venv/bin/python" "$work/run.py" without
