"""Types of arrays, by what they hold."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Floating = NDArray[np.floating]
"""Of single or double precision."""
Ints = NDArray[np.intp]
Integers = NDArray[np.integer]
Bools = NDArray[np.bool_]
Texts = NDArray[np.object_]
