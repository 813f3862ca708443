"""Reading weights without running what is in them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from layerscope.errors import ModelError
from layerscope.models.file_kinds import SAFETENSORS, TORCH, UNPACK, WEB_PAGE, kind_of
from layerscope.models.integrity import demand_finite, demand_unchanged, digest, note_read
from layerscope.sources.manifest import read_manifest

Config = TypeVar("Config")
Network = TypeVar("Network", bound=nn.Module)

LFS_POINTER = b"version https://git-lfs"
# what reading a pickle, or a checkpoint made of one, raises where a byte of it is wrong
DAMAGED = (
    pickle.UnpicklingError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Generic[Config]):
    """The file of weights of a release, the sizes of its network, and its tensors by name."""

    weights: Path
    config: Config
    tensors: dict[str, Tensor]


def present(path: Path, what: str) -> Path:
    """``path``, if it is a file with content of its own and not what stands in for one never fetched."""
    if not path.is_file():
        beside = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
        instead = f"the folder holds {', '.join(beside[:12])}" if beside else "there is no such folder"
        raise ModelError(f"{path}: {what} is missing; {instead}")
    with path.open("rb") as stream:
        head = stream.read(len(LFS_POINTER))
    if not head:
        raise ModelError(f"{path}: the file is empty; fetch it again")
    if head == LFS_POINTER:
        raise ModelError(f"{path}: a Git-LFS pointer, not {what}; fetch the file itself (git lfs pull)")
    kind = kind_of(path)
    if kind == WEB_PAGE:
        raise ModelError(f"{path}: a web page, not {what}; the server sent it instead: fetch the file again")
    if kind in UNPACK:
        raise ModelError(f"{path}: {kind} under a wrong name, not {what}; unpack it")
    demand_unchanged(path)
    note_read(path)
    return path


def read_text(path: Path, what: str) -> str:
    """Read a file of text in UTF-8."""
    try:
        return present(path, what).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: {what} is not text in UTF-8 ({error}); fetch it again") from error


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON file that holds a mapping; ``what`` it is stands in messages."""
    return _mapping(path, what, json.loads)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a configuration in YAML that holds a mapping."""
    return _mapping(path, "the configuration", yaml.safe_load)


def _mapping(path: Path, what: str, parse: Callable[[str], Any]) -> dict[str, Any]:
    text = read_text(path, what)
    try:
        content = parse(text)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        language = "YAML" if isinstance(error, yaml.YAMLError) else "JSON"
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path}: {what} is not valid {language} ({reason})") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: {what} holds {type(content).__name__}, expected a mapping")
    return content


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file."""
    try:
        return load_file(present(path, "the file of weights"))
    except SafetensorError as error:
        kind = kind_of(path)
        remedy = f"{kind} under a wrong name" if kind not in ("", SAFETENSORS) else "fetch it again"
        raise ModelError(f"{path}: not a whole safetensors file ({error}); {remedy}") from error


def read_checkpoint(
    path: Path, *, trusted_sha256: str | None = "", allowed: Sequence[Any] = (), instead: str = ""
) -> Any:
    """Read a PyTorch checkpoint, which is a pickle, admitting tensors and plain containers only.

    ``allowed`` are harmless types and functions that it may name besides. Only if ``trusted_sha256`` is the
    file's own checksum is it read without restriction: code in it runs. None: nothing lets a user give it.
    ``instead`` names the file that is read in the place of this one.
    """
    present(path, "the file of weights")
    if kind_of(path) == SAFETENSORS:
        raise ModelError(f"{path}: {SAFETENSORS} under the name of {TORCH}; rename it")
    if trusted_sha256:
        actual = digest(path)
        if actual != trusted_sha256.lower():
            raise ModelError(
                f"{path}: sha256 is {actual}, not the trusted {trusted_sha256}: "
                "not the file that you vouched for"
            )
        return torch.load(path, map_location="cpu", weights_only=False)
    try:
        with safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except pickle.UnpicklingError as error:
        remedy = _remedy(path, trusted_sha256 is not None, instead)
        raise ModelError(f"{path}: {_refusal(path, allowed)} {remedy}") from error
    except DAMAGED as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ModelError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return ModelError(f"{path}: not a whole PyTorch checkpoint ({reason}); fetch it again")


def read_tensors(path: Path, trusted_sha256: str | None = "", instead: str = "") -> dict[str, Tensor]:
    """Read tensors by name: a safetensors file, or a PyTorch checkpoint that holds nothing else."""
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    tensors = read_checkpoint(path, trusted_sha256=trusted_sha256, instead=instead)
    if isinstance(tensors, Mapping) and all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        return dict(tensors)
    raise ModelError(f"{path}: expected tensors by name (a state dict); it holds {content_of(tensors)}")


def read_proteins(path: Path) -> dict[str, Tensor]:
    """The vectors of genes' proteins by the genes' names, in the order of the file."""
    vectors = read_tensors(present(path, "the file of protein embeddings"), trusted_sha256=None)
    if not vectors:
        raise ModelError(f"{path}: holds no protein embedding; fetch it again")
    return {str(name): vector for name, vector in vectors.items()}


def content_of(checkpoint: Any) -> str:
    """What a checkpoint holds, for messages."""
    if not isinstance(checkpoint, Mapping):
        return type(checkpoint).__name__
    return ", ".join(map(str, list(checkpoint)[:5]))


def first_file(folder: Path, *names: str) -> Path:
    """The first of these files that is there; the first one if none is."""
    paths = [folder / name for name in names]
    return next((path for path in paths if path.is_file()), paths[0])


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Turn what reading sizes from a mapping raises into a ModelError that names the key."""
    try:
        yield
    except KeyError as error:
        raise ModelError(f"{path}: not {what}, it has no {error.args[0]!r}") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: not {what}: {error}") from error


def demand_architecture(path: Path, stated: Mapping[str, Any], needed: Mapping[str, Any]) -> None:
    """Refuse a configuration that states a constant otherwise than the code here needs it."""
    for name, value in needed.items():
        if stated.get(name, value) != value:
            raise ModelError(f"{path}: {name} is {stated[name]!r}; this architecture has {value!r}")


def demand_agreement(path: Path, sizes: Mapping[str, tuple[int, int]]) -> None:
    """Raise ModelError if a size that a configuration states is not that of the tensors."""
    for name, (stated, actual) in sizes.items():
        if stated != actual:
            raise ModelError(f"{path}: the configuration says {name} = {stated}, the tensors {actual}")


def demand_bins(number: int) -> int:
    """The number of bins that a configuration states: one is for zeros, so that there are two or more."""
    if number < 2:
        raise ValueError(f"{number} bins, where 2 or more are needed")
    return number


def _is_zip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"PK"


def _refusal(path: Path, allowed: Sequence[Any]) -> str:
    """Why a checkpoint was not read."""
    if not _is_zip(path):
        return "an old pickle file that cannot be inspected; it was not read."
    names = {
        f"{thing.__module__}.{thing.__qualname__}" for thing in allowed if hasattr(thing, "__qualname__")
    }
    try:
        wanted = sorted(set(get_unsafe_globals_in_checkpoint(path)) - names)
    except DAMAGED as error:
        raise _damaged(path, error) from error
    return f"the file wants to import {', '.join(wanted) or 'what is not allowed'}; it was not read."


def _remedy(path: Path, may_be_trusted: bool, instead: str) -> str:
    """What to do about a checkpoint that was not read."""
    manifest = read_manifest(path)
    origin = f", which is as it came from {manifest['url']}" if "url" in manifest else ""
    trust = (
        f"if its SHA-256, {digest(path)}{origin}, is the owners' (config/models.yaml has what is published), "
        f"vouch for it with --set trust_sha256={digest(path)} (in a study, the model's `set`)"
    )
    ways = [f"put {instead} in its place"] if instead else []
    ways += [trust] if may_be_trusted else []
    way = "; or, ".join(ways) or "fetch it again"
    return way[0].upper() + way[1:]


def as_they_are(name: str) -> Sequence[str]:
    """A parameter stored under its own name."""
    return (name,)


def renamed(ours_to_theirs: Mapping[str, str]) -> Callable[[str], Sequence[str]]:
    """Where a checkpoint holds a parameter whose name here differs in these parts."""

    def stored_as(name: str) -> Sequence[str]:
        for ours, theirs in ours_to_theirs.items():
            name = name.replace(ours, theirs)
        return (name,)

    return stored_as


def spelt_alike(tensors: Mapping[str, Tensor], spell: Callable[[str], str], path: Path) -> dict[str, Tensor]:
    """Give tensors one name each; what a file holds under two names must be the same."""
    by_name: dict[str, Tensor] = {}
    for spelling, tensor in tensors.items():
        name = spell(spelling)
        if name in by_name and not torch.equal(by_name[name], tensor):
            raise ModelError(f"{path}: {spelling} and another spelling of {name} hold different numbers")
        by_name[name] = tensor
    return by_name


class _NothingDrawn(TorchFunctionMode):
    """Weights of the meta device are not drawn: torch would import its compiler for that, in two seconds."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is nn.init.normal_:
            return kwargs["tensor"]
        return function(*args, **(kwargs or {}))


def load_network(
    network: Callable[[Config], Network],
    checkpoint: Checkpoint[Config],
    ignored: Sequence[str],
    stored_as: Callable[[str], Sequence[str]] = as_they_are,
    stated_in: str = "the configuration",
) -> Network:
    """Build a network of a checkpoint's sizes with its tensors: see :func:`load_strictly`."""
    with torch.device("meta"), _NothingDrawn():
        module = network(checkpoint.config)
    load_strictly(
        module,
        checkpoint.tensors,
        ignored=ignored,
        path=checkpoint.weights,
        stored_as=stored_as,
        stated_in=stated_in,
    )
    return module


def load_strictly(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    ignored: Sequence[str],
    path: Path,
    stored_as: Callable[[str], Sequence[str]] = as_they_are,
    stated_in: str = "the configuration",
) -> None:
    """Put the tensors of a checkpoint into ``module`` as float32; a ModelError names one that does not fit.

    ``ignored`` are prefixes of what the checkpoint holds besides: heads that make no representation.
    ``stored_as`` names the equal parts in the checkpoint, stacked along the first dimension, that make a
    parameter of the module. For messages, ``path`` is the checkpoint and ``stated_in`` where sizes stand.
    """
    needed = module.state_dict()
    tables = {name for name, parameter in module.named_parameters() if not parameter.requires_grad}
    parts = {name: stored_as(name) for name in needed}
    wanted = {part for names in parts.values() for part in names}
    missing = [part for names in parts.values() for part in names if part not in tensors]
    extra = [name for name in tensors if name not in wanted and not name.startswith(tuple(ignored))]
    if missing or extra:
        problems = [
            f"{len(names)} {kind} ({', '.join(names[:4])}{', ...' if len(names) > 4 else ''})"
            for kind, names in (("missing", missing), ("unexpected", extra))
            if names
        ]
        raise ModelError(f"{path}: tensors are not those of this architecture: {'; '.join(problems)}")
    for name, names in parts.items():
        rows, *rest = needed[name].shape
        for part in names:
            if tensors[part].shape != (rows // len(names), *rest):
                raise ModelError(
                    f"{path}: {part} has shape {tuple(tensors[part].shape)}, "
                    f"{stated_in} asks for {(rows // len(names), *rest)}"
                )
            if not tensors[part].is_floating_point():
                held = str(tensors[part].dtype).removeprefix("torch.")
                raise ModelError(f"{path}: {part} holds {held}, expected floating-point numbers")
            demand_finite(tensors[part], part, path, in_file=name in tables)
    whole = {
        name: torch.cat([tensors[part].float() for part in names]) if len(names) > 1 else tensors[names[0]]
        for name, names in parts.items()
    }
    module.load_state_dict({name: tensor.float() for name, tensor in whole.items()}, assign=True)


def n_blocks(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """How many blocks a checkpoint holds, whose tensors are named by a prefix and the block's number."""
    numbers = {name[len(prefix) :].partition(".")[0] for name in tensors if name.startswith(prefix)}
    return 1 + max((int(number) for number in numbers if number.isdigit()), default=-1)
