"""The wall: where things lie, what a sample, a shard and a stage are, and what happens to them. It imports nothing of
winnow outside itself, and no stage's digest looks behind it (`winnow.core.fingerprint`)."""
