"""Gates: Great Expectations at the two boundaries, a batch's stage tables in and a release's published tables out.

Tests inside the warehouse are dbt's; a gate looks at what crosses. Its rules are files in `dbt/gx/`, its result is
JSON and a page, and a rule that does not hold stops what wanted to pass with exit code 65, naming table, rule and
rows.
"""

from __future__ import annotations

from winnow.gates.batch import gate_batch, is_admitted
from winnow.gates.release import gate_release

__all__ = ["gate_batch", "gate_release", "is_admitted"]
