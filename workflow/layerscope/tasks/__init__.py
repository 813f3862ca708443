"""What is asked of a layer: one room for each task."""
