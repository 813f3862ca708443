"""Dictionaries of releases are read without running what is in them, and wrong files are recognised."""

import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tar_files import tar_of

from layerscope.errors import ModelError
from layerscope.models.dictionaries import read_dictionary
from layerscope.models.weights import read_checkpoint, read_json, read_safetensors

WHAT = "the token dictionary"


def stored(path, content):
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content))
    return path


class Payload:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (os.system, ("exit 1",))


@pytest.mark.parametrize("spelling", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
@pytest.mark.parametrize("kind", [np.int16, np.int64, np.float32, np.float64])
def test_scalars_of_numpy_become_plain_numbers_however_their_module_is_spelt(tmp_path, spelling, kind):
    content = pickle.dumps({"a": kind(3), "b": kind(4)}, protocol=3)
    content = content.replace(b"numpy._core.multiarray", spelling)
    assert spelling in content
    numbers = read_dictionary(stored(tmp_path / "t.pkl", content), WHAT)
    assert numbers == {"a": 3, "b": 4} and type(numbers["a"]) in (int, float)


def test_big_endian_numbers_are_read_as_such(tmp_path):
    numbers = np.array([1.5, 2.5], dtype=">f8")
    content = pickle.dumps({"a": numbers[0]}, protocol=4)
    assert read_dictionary(stored(tmp_path / "t.pkl", content), WHAT) == {"a": 1.5}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_dictionaries_of_any_protocol_are_read(tmp_path, protocol):
    held = {"<pad>": 0, "ENSG00000000001": 1, "x": "y", "z": 1.5}
    assert read_dictionary(stored(tmp_path / "t.pkl", pickle.dumps(held, protocol)), WHAT) == held


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"a": Payload()}), r"wants to import (posix|nt|os)\.system"),
        (OrderedDict(a=1), r"wants to import collections\.OrderedDict"),
        ({"a": np.ones(3)}, r"wants to import numpy\._?core\S* "),
        ({"a": np.str_("b")}, "a NumPy type 'U1'"),
        ({1: 2}, "is not a dictionary of names"),
        (pickle.dumps({"a": 1})[:-3], "was not read"),
        (b"", "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 10\n", "Git-LFS pointer"),
        (b"<!DOCTYPE html><html>quota exceeded</html>", "a web page, not the token dictionary"),
    ],
)
def test_anything_else_is_refused_and_named(tmp_path, content, message):
    with pytest.raises(ModelError, match=message):
        read_dictionary(stored(tmp_path / "t.pkl", content), WHAT)


def zipped(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("scGPT_human/best_model.pt", b"x")


@pytest.mark.parametrize(
    ("write", "read", "kind"),
    [
        (
            lambda path: path.write_bytes(tar_of({"a": b""}, "w")),
            read_safetensors,
            "a tar archive.*unpack",
        ),
        (zipped, read_checkpoint, "a zip"),
        (lambda path: save_file({"a": torch.ones(2)}, path), read_checkpoint, "a safetensors file"),
        (lambda path: torch.save({"a": torch.ones(2)}, path), read_safetensors, "a PyTorch checkpoint"),
    ],
)
def test_files_of_one_format_under_the_name_of_another_are_recognised(tmp_path, write, read, kind):
    path = tmp_path / "model"
    write(path)
    with pytest.raises(ModelError, match=kind):
        read(path)


@pytest.mark.parametrize(("text", "message"), [("{", "is not valid JSON"), ("[1]", "holds list")])
def test_json_that_is_no_mapping_is_refused(tmp_path, text, message):
    path = tmp_path / "args.json"
    path.write_text(text)
    with pytest.raises(ModelError, match=f"args.json: the configuration {message}"):
        read_json(path, "the configuration")
