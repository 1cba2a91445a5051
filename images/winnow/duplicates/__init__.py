"""Near-duplicates: fingerprints of picture and sound that survive what copies go through, and which clips are copies.

`sketch` makes what measuring leaves of a clip while it is decoded; `words` what an index finds candidates by; `align`
verifies a candidate in time; `index` finds the pairs of one batch against all that came before it; `batches` keeps what
was found in the lake.
"""
