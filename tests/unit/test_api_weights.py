"""Weights in the cache: fetched once, checked, under their licence, and shared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_server import FaultServer

from layerscope.doors import models
from layerscope.errors import ConfigError, SourceError

CONTENT = b"weights" * 1000
