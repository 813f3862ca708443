"""The canonical cells: readers, input guard, gene identifiers, quality control."""

ROOT_CELL = "iroot_cell"
"""Key of ``uns`` by which a file of cells names its root, as scanpy's ``iroot`` does by number."""
