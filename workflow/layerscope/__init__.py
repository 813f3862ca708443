"""layerscope: which layer of a single-cell foundation model to use, and how sure that answer is."""

import os

# Intel's MKL then sums in one order whatever the alignment of memory; read when torch is imported
os.environ.setdefault("MKL_CBWR", "AUTO")

__version__ = "0.1.0"
