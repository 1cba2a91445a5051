"""From a folder of videos to a published release: `python examples/curate_a_folder.py FOLDER LAKE`. The folder's name
is the key of its batch, as in inbox/2026-11-20."""

from __future__ import annotations

import sys
from pathlib import Path

import winnow


def main(folder: str, root: str) -> None:
    lake, batch = winnow.open_lake(root), Path(folder).resolve().name
    done = winnow.curate(folder, lake)
    if "correspond" not in done:  # no scorer is fitted yet: fit one on these clips, then score them
        try:
            fitted = winnow.fit(lake, [batch])
        except winnow.ContractError as why:
            print(f"measured, not scored: {why}")
            return
        print(f"fitted on {fitted['clips']} clips: AUC {fitted['quality']['auc']}")
        winnow.curate(folder, lake)
    print(winnow.publish(lake))


if __name__ == "__main__":
    main(*sys.argv[1:])
