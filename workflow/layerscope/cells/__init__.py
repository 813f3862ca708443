"""The canonical cells: readers, input guard, gene identifiers, quality control."""
