"""Calibration of correspondence scorers: how high does a scorer score sound and picture that do not belong together?

A score by itself says nothing: a cosine of 0.2 is high for one model and low for another. AVSET-10M answers with the
scorer's own distributions over three kinds of pairs and a normal fit to the non-corresponding ones; a clip passes above
μ + kσ. `draw` draws the pairs, `scorers` scores them, `distribution` describes them; `winnow.fitting.calibrate` is the
command.
"""

from winnow.fitting.calibration.distribution import describe
from winnow.fitting.calibration.draw import KINDS, LEAST, draw
from winnow.fitting.calibration.scorers import BUILTIN, VECTORS, Ensemble, ensembles

__all__ = ["BUILTIN", "KINDS", "LEAST", "VECTORS", "Ensemble", "describe", "draw", "ensembles"]
