"""Settings: what is no number, what is unknown, and how a mistake is told."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field

from layerscope.errors import ConfigError
from layerscope.settings import STUDY, UNIQUE, Name, Settings, explain


class Inner(Settings):
    """Settings of a part."""

    elsewhere: ClassVar[frozenset[str]] = frozenset({"seed"})

    cells: int = Field(default=10, ge=2)
    """Cells."""
    seed: int = 0
    """Set elsewhere in a study."""


class Example(Settings):
    """Settings of one thing."""

    share: float = Field(default=0.5, gt=0)
    """A share."""
    run: bool = True
    """Whether."""
    metric: Literal["cosine", "euclidean"] = "cosine"
    """A word."""
    sizes: Annotated[tuple[int, ...], Field(min_length=1), *UNIQUE] = (1, 2)
    """Several."""
    inner: Inner = Inner()
    """A part."""
    parts: dict[Name, Inner] = Field(default_factory=dict)
    """Parts by name."""
    title: str = ""
    """Words."""


def test_defaults_hold_where_nothing_is_said() -> None:
    settings = Example.read({"inner": {"cells": 3}, "share": 1})
    assert (settings.inner.cells, settings.share, settings.sizes) == (3, 1, (1, 2))
    assert Example.read({"sizes": [5]}).sizes == (5,)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"shares": 1}, "unknown key 'shares' (did you mean 'share'?); allowed: share, run"),
        ({"inner": {"cells": 1}}, "inner: cells: found 1; expected at least 2"),
        ({"inner": {"cells": 15.0}}, "inner: cells: found 15.0; expected a whole number"),
        ({"inner": {"cells": True}}, "inner: cells: found True; expected a whole number"),
        ({"inner": [1]}, "inner: found [1]; expected keys and values"),
        ({"share": 0}, "share: found 0; expected more than 0"),
        ({"share": float("nan")}, "share: found nan; expected a finite number"),
        ({"run": 1}, "run: found 1; expected true or false"),
        ({"metric": "cosin"}, "metric: 'cosin' is not allowed (did you mean 'cosine'?)"),
        ({"sizes": []}, "sizes: found []; expected at least 1 of them"),
        ({"sizes": [1, 1]}, "sizes: 1 stands twice in [1, 1]"),
        ({"sizes": [1, "2"]}, "sizes: 1: found '2'; expected a whole number"),
        ({"sizes": 3}, "sizes: found 3; expected a list"),
        ({"parts": {"a/b": {}}}, "parts: 'a/b' is a part of paths: letters, digits"),
        ({"parts": {"a\n": {}}}, "is a part of paths"),
        ({"title": ["x"] * 1000}, "title: found ['x', 'x'"),
    ],
)
def test_a_mistake_is_named_with_what_is_allowed(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        Example.read(given, "example")
    assert str(refusal.value).startswith("example: ")
    assert message in str(refusal.value)
    assert len(str(refusal.value)) < 400 and "\n" not in str(refusal.value)


def test_what_another_key_sets_is_no_key_of_a_study() -> None:
    assert Inner.read({"seed": 3}).seed == 3
    with pytest.raises(ValueError, match="unknown key 'seed'") as refusal:
        Inner.model_validate({"seed": 3}, context=STUDY)
    assert "allowed: cells" in explain(refusal.value)  # type: ignore[arg-type]
    assert Inner().as_config() == {"cells": 10}
    assert set(Inner.model_json_schema()["properties"]) == {"cells"}
