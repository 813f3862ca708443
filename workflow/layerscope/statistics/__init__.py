"""Resampling, layer choice and multiple testing."""
