#!/usr/bin/env bash
# One would guess: with `--log-level warn --log-level-file none` dbt spends nothing on messages of level debug, as Python's
# logging does.
# What happens (dbt-core 1.11.16, dbt-common 1.39.0): each message is a protobuf made from a dict, twice, and a line with
# every environment variable looked at for secrets, and only then its level is compared. A build of three models of one
# row makes hundreds and shows none; in a project of a hundred models and 170 tests they are 20 to 25 % of the build.
# Source: dbt_common/events/event_manager.py (fire_event), base_types.py (msg_from_base_event), logger.py (write_line).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q dbt-core==1.11.16 dbt-common==1.39.0 dbt-adapters==1.24.5 dbt-duckdb==1.11.1 duckdb==2.0.0
mkdir -p "$work/project/models"
cd "$work/project"
printf 'name: small\nversion: "1.0"\nprofile: small\n' >dbt_project.yml
printf 'small:\n  target: it\n  outputs:\n    it: {type: duckdb, path: small.duckdb}\n' >profiles.yml
for model in a b c; do echo "select 1 as x" >"models/$model.sql"; done
cat >run.py <<'P'
import sys
from importlib.metadata import version
from dbt_common.events import event_manager
made = []
original = event_manager.msg_from_base_event
def counted(event, *args, **kwargs):
    message = original(event, *args, **kwargs)
    made.append(message.info.level)
    return message
event_manager.msg_from_base_event = counted
from dbt.cli.main import cli
sys.argv = ["dbt", "--log-level", "warn", "--log-level-file", "none", "--no-send-anonymous-usage-stats", "build"]
try:
    cli()
except SystemExit as end:
    assert not end.code, end.code
debug = made.count("debug")
print(f"dbt-core {version('dbt-core')}, dbt-common {version('dbt-common')}: {len(made)} messages made, {debug} of level debug",
      file=sys.stderr)
sys.exit(debug < 100)
P
"$work/venv/bin/python" run.py >shown.txt
echo "lines shown: $(wc -l <shown.txt)"
test "$(wc -l <shown.txt)" -eq 0
