"""Scores of a layer against perturbation effects."""
