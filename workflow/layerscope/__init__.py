"""layerscope: which layer of a single-cell foundation model to use, and how sure that answer is."""

__version__ = "0.1.0"
