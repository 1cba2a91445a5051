"""Metrics by which models trained on Winnow's datasets are compared: separation (AudioScope), event localisation (AVE,
VGGSound-AVEL), audio-visual video parsing (AVVP, LLP), retrieval (AVSET-10M) and classes of clips (linear probes,
ACAV100M).

Each module takes NumPy arrays and returns numbers; `files` reads arrays, audio and tables for `winnow metrics`. They
follow the released evaluation code of each family where there is one, and say so where a definition is Winnow's own.
"""
