"""Settings that a user writes: models whose fields' docstrings document them, and how a mistake is told."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from layerscope.errors import ConfigError

NAMED = 30
LONGEST = 200
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")
STUDY = {"study": True}
"""Context of a validation: the settings stand in a study's file, not on a step's command line."""

EXPECTED = {
    "model_type": "keys and values",
    "dict_type": "keys and values",
    "tuple_type": "a list",
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "too_short": "at least {min_length} of them",
    "string_too_short": "some text",
    "string_pattern_mismatch": "text of the form {pattern}",
}
"""What is expected, by the kind of mistake that pydantic names."""

Metric = Literal["cosine", "euclidean"]
FORMER = {"cell_type": "label"}
"""What tasks were called before, and are now."""


class Settings(BaseModel):
    """Settings of one thing. 15.0 is no whole number, true no number; NaN and infinity are no thresholds."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    elsewhere: ClassVar[frozenset[str]] = frozenset()
    """Fields that a study does not set here, but fills in from another of its keys."""

    @classmethod
    def read(cls, given: Mapping[str, Any], where: str = "settings") -> Self:
        """Check what a user wrote and fill in the defaults.

        A ConfigError names the key and the value, after ``where``, and what is allowed.
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise ConfigError(explain(error, where)) from None

    @classmethod
    def keys(cls, in_study: bool = True) -> list[str]:
        """Names of the settings, in a study's file or anywhere."""
        return [name for name in cls.model_fields if not (in_study and name in cls.elsewhere)]

    def as_config(self) -> dict[str, Any]:
        """The settings as they would stand in a study's file, defaults and all."""
        return self.model_dump(mode="json", exclude=set(self.elsewhere))

    @model_validator(mode="before")
    @classmethod
    def _demand_known_keys(cls, given: Any, info: ValidationInfo) -> Any:
        known = cls.keys(in_study=info.context == STUDY)
        for key in given if isinstance(given, Mapping) else ():
            if key not in known:
                raise ValueError(f"unknown key {key!r}{suggest(key, known)}; allowed: {', '.join(known)}")
        return given

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core_schema))
        for name in cls.elsewhere:
            schema["properties"].pop(name)
        for entry in schema["properties"].values():
            entry.pop("title", None)
            if "description" in entry:
                entry["description"] = " ".join(entry["description"].split())
        return schema


def stated(settings: Settings, *leave_out: str) -> dict[str, Any]:
    """What a user has set, and no default."""
    return settings.model_dump(mode="json", exclude_unset=True, exclude=set(leave_out))


def suggest(name: object, allowed: Iterable[str]) -> str:
    """What is allowed and spelt nearly so, or was called so before, in brackets; nothing if none is near."""
    allowed = list(allowed)
    if (now := FORMER.get(str(name))) in allowed:
        return f" ({name!r} is called {now!r} now)"
    near = get_close_matches(str(name), allowed, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def demand_known(name: str, names: Iterable[str], where: str, kind: str) -> None:
    """Refuse a name that nothing has."""
    names = sorted(names)
    if name not in names:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        listed = ", ".join(names[:NAMED]) + more
        raise ConfigError(f"{where}: unknown {kind} {name!r}{suggest(name, names)}; defined: {listed}")


def explain(error: ValidationError, where: str = "") -> str:
    """The first mistake in one line: the key, the value, and what is allowed."""
    first = error.errors(include_url=False)[0]
    location = first["loc"][:-2] if first["loc"][-1:] == ("[key]",) else first["loc"]
    parts = [str(part) for part in location if not re.fullmatch(r"<.*>", str(part))]
    value = repr(first["input"])
    value = value if len(value) <= LONGEST else f"{value[:LONGEST]}..."
    context = first.get("ctx", {})
    if first["type"] == "missing":
        *parts, missing = parts
        reason = f"the key {missing!r} is missing"
    elif first["type"] == "literal_error":
        allowed = re.findall(r"'([^']*)'", context["expected"])
        reason = f"{value} is not allowed{suggest(first['input'], allowed)}; allowed: {', '.join(allowed)}"
    elif first["type"] == "value_error":
        reason = str(context["error"])
    elif first["type"] in EXPECTED:
        reason = f"found {value}; expected {EXPECTED[first['type']].format(**context)}"
    else:
        reason = f"found {value}; {first['msg']}"
    return ": ".join([*filter(None, [where]), *parts, reason])


def _each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} stands twice in {list(values)}; name each once")
    return values


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError(
            f"{text!r} is a part of paths: letters, digits, '_', '.', '+' and '-', starting with a letter or "
            "digit, at most 100"
        )
    return text


def exactly_one(*keys: str) -> Callable[[Any], Any]:
    """Of a mapping, demand exactly one of these keys."""

    def demand(given: Any) -> Any:
        if isinstance(given, Mapping) and sum(key in given for key in keys) != 1:
            stated = ", ".join(map(str, given)) or "none"
            raise ValueError(f"exactly one of these keys is needed: {', '.join(keys)}; found: {stated}")
        return given

    return demand


def keys_among(*names: str) -> AfterValidator:
    """Of a mapping, demand that its keys are among these names."""

    def demand(given: dict[str, Any]) -> dict[str, Any]:
        for key in given:
            if key not in names:
                raise ValueError(f"unknown key {key!r}{suggest(key, names)}; allowed: {', '.join(names)}")
        return given

    return AfterValidator(demand)


Name = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"pattern": f"^{NAME.pattern}$"})]
"""A name that is also a part of paths."""
UNIQUE = (Field(strict=False, json_schema_extra={"uniqueItems": True}), AfterValidator(_each_once))
"""Metadata of a list in which every entry stands once."""
ONE_OR_SEVERAL = BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)
"""Metadata of a list of which one entry may be written without brackets."""
Seed = Annotated[int, Field(ge=0)]


class Resampled(Settings):
    """Settings of a protocol with the numbers that a study's ``resampling`` sets for every protocol."""

    elsewhere: ClassVar[frozenset[str]] = frozenset({"resamples", "splits"})

    resamples: int = Field(default=1000, ge=0)
    """Bootstrap resamples."""
    splits: int = Field(default=100, ge=0)
    """Random halves on which a layer is chosen and scored."""
