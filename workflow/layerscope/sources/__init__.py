"""Bytes from elsewhere: downloads, slices of remote files, local files."""
