"""Perturbation effects on genes, decoded from a layer with whole targets held out."""
