"""One batch, from lists to an admitted head: ingest, decide, plan, mixture plan, and all of them in one process."""
