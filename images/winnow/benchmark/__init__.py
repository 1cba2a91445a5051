"""The correspondence-retrieval benchmark: half of the classes keep their pairing, the rest is shuffled; who finds the
true half?

ACAV100M's protocol (Lee et al., ICCV 2021, and its released code) on data that needs no download: scikit-learn's
handwritten digits, digits spoken by espeak-ng, made-up kinds, and clips of a lake. `protocol` draws the pairs,
`digits`, `spoken`, `kinds` and `clips` make the data and their feature layers, `methods` and `contrastive` choose,
`table` runs everything, `render` writes it down.

What it taught: in the published variant greedy selection by mutual information stays far from an oracle, and better
clusters or more search do not help; on digits it stays below selection by NMI under the same draws, which divides by
the entropies that mutual information is raised by (`render` writes both down). With perfect clusters of ten classes the
subset of largest mutual information holds four true pairs in five (tests/unit/selection/test_refine.py derives it).
`winnow.selection.refine` maximises something else and comes close, but its finite prior was chosen on the first three
sets; the two held-out ones, on which nothing was tuned, show what remains of that: with digits all of it, with kinds of
unequal size only what the infinite prior has.
"""
