"""The shape of a layer: rank, anisotropy, dimension, similarity."""
