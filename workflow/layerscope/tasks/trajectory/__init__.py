"""Scores of a layer against developmental time."""
