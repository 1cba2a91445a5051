"""Tests of winnow.media."""
