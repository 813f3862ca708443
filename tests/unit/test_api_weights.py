"""Weights in the cache: fetched once, checked, under their licence, shared by studies and calls."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fault_server import FaultServer
from layerscope.doors import models
from layerscope.errors import ConfigError
from layerscope.models.entries import FoundationModel
from layerscope.sources.fetch import fetch

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FILES = ("model.bin", "vocab.json")


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer({f"/{file}": CONTENT for file in FILES}) as made:
        yield made


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAYERSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LAYERSCOPE_MIRROR", raising=False)
    return tmp_path / "cache"


def source(server: FaultServer, file: str, **known: Any) -> dict[str, Any]:
    return {"url": f"{server.url}/{file}", "sha256": SHA256, **known}


def entry(server: FaultServer) -> FoundationModel:
    fetched = {file: source(server, file) for file in FILES}
    return FoundationModel.read(
        {"family": "scgpt", "layers": 2, "licence": "ask the owners", "weights": {"fetch": fetched}}
    )


def test_weights_are_fetched_once_and_checked(server: FaultServer, cache: Path) -> None:
    folder = models.cached_weights("mine", entry(server), accept_licence=True)
    assert folder == cache / "weights" / "mine"
    assert [(folder / file).read_bytes() for file in FILES] == [CONTENT] * 2
    server.reset_counts()
    assert models.cached_weights("mine", entry(server), accept_licence=True) == folder
    assert server.requests == []


def test_a_licence_is_accepted_before_anything_is_fetched(server: FaultServer, cache: Path) -> None:
    with pytest.raises(ConfigError, match=r"owners.*accept_licence"):
        models.cached_weights("mine", entry(server), accept_licence=False)
    assert server.requests == [] and not cache.exists()
    models.cached_weights("mine", entry(server), accept_licence=True)
    models.cached_weights("mine", entry(server), accept_licence=False)  # they are here


def test_a_file_that_a_disk_has_changed_is_fetched_again(server: FaultServer, cache: Path) -> None:
    folder = models.cached_weights("mine", entry(server), accept_licence=True)
    (folder / "model.bin").write_bytes(CONTENT[:-1] + b"x")
    models.cached_weights("mine", entry(server), accept_licence=True)
    assert (folder / "model.bin").read_bytes() == CONTENT


def test_calls_at_once_fetch_each_file_once(server: FaultServer, cache: Path) -> None:
    arguments = ("mine", entry(server), True)
    threads = [threading.Thread(target=models.cached_weights, args=arguments) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.requests) == len(FILES)


def test_a_study_links_to_the_cache_where_one_is_named(
    server: FaultServer, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = source(server, "model.bin", model="mine", licence="ask the owners", accepted=True)
    for study in ("one", "two"):
        output = tmp_path / study / "resources/weights/mine/model.bin"
        fetch(settings, output)
        assert output.is_symlink() and output.read_bytes() == CONTENT
    assert len(server.requests) == 1
    models.cached_weights("mine", entry(server), accept_licence=True)
    assert len(server.requests) == len(FILES)  # the other file alone
    with pytest.raises(ConfigError, match="accepted_licences"):
        fetch(settings | {"accepted": False}, tmp_path / "three/model.bin")

    monkeypatch.delenv("LAYERSCOPE_CACHE")
    fetch(settings, tmp_path / "four/model.bin")
    assert not (tmp_path / "four/model.bin").is_symlink()


def test_without_a_name_the_cache_is_the_platforms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LAYERSCOPE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path in models.cache_folder().parents
    monkeypatch.setenv("LAYERSCOPE_CACHE", "~/mine")
    assert models.cache_folder() == tmp_path / "mine"


def test_every_model_of_the_catalogue_can_be_named() -> None:
    assert {"geneformer_v2_104m", "scfoundation", "hvg_pca"} <= set(models.entries())
