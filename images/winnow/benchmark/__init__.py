"""The correspondence-retrieval benchmark: half of the classes keep their pairing, the rest is shuffled; who finds the
true half?

ACAV100M's protocol (Lee et al., ICCV 2021, and its released code) on data that needs no download: scikit-learn's
handwritten digits, digits spoken by espeak-ng, and clips of a lake. `protocol` draws the pairs, `digits`, `spoken` and
`clips` make the data and their feature layers, `methods` and `contrastive` choose, `table` runs everything, `render`
writes it down.

What it taught: in the published variant greedy selection by mutual information stays far from an oracle, and better
clusters or more search do not help. With perfect clusters of ten classes the subset of largest mutual information holds
four true pairs in five (tests/unit/test_refine.py derives it); `winnow.selection.refine` is the answer to that.
"""
