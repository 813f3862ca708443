"""The engine that runs a model once and yields every layer."""
