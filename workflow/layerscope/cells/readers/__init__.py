"""Readers: one small function per kind of dataset, each with what it needs of the file."""
