"""Sampling times as people write them, put in order: ``Day -2``, ``d10``, ``30min``, ``E8.5``, ``naive``.

A label is read as a value on a scale: times since a start, ages of an embryo, ages after birth, bare numbers,
or numbers of something that is no time (``stage 3``). Scales without anything in common are not ordered.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from layerscope.cells.labels import natural_order

HOUR, DAY, WEEK = 3600.0, 86_400.0, 7 * 86_400.0
SINCE_START, EMBRYONIC, POSTNATAL = "time", "embryonic", "postnatal"
NUMBER, NUMBER_OF_TIME, DATE_SCALE, WORD = "number", "number of time", "date", "word"
SHOWN = 12
PLAIN = (NUMBER, NUMBER_OF_TIME)
MINUTES_OR_MONTHS = "m"
UNITS: tuple[tuple[str, str, float], ...] = (
    (EMBRYONIC, r"e|dpf|dpc", DAY),
    (EMBRYONIC, r"hpf", HOUR),
    (EMBRYONIC, r"pcw|gw|wpc|wpf|wga", WEEK),
    (POSTNATAL, r"p|pn|pnd", DAY),
    (SINCE_START, r"s|secs?|seconds?", 1.0),
    (SINCE_START, r"mins?|minutes?", 60.0),
    (SINCE_START, r"h|hrs?|hours?|hp[a-z]", HOUR),
    (SINCE_START, r"d|days?|div|dp[a-z]", DAY),
    (SINCE_START, r"w|wks?|weeks?|wp[a-z]", WEEK),
    (SINCE_START, r"mos?|mons?|mths?|months?", 365.25 / 12 * DAY),
    (SINCE_START, r"y|yrs?|years?", 365.25 * DAY),
    (MINUTES_OR_MONTHS, r"m", 1.0),
)
"""Scale, spellings and seconds of each unit; ``dpi``, ``hps`` and the like are times since a start."""
MEETING: tuple[Collection[str], ...] = (
    {EMBRYONIC, POSTNATAL, SINCE_START},
    {EMBRYONIC, POSTNATAL},
    {POSTNATAL, SINCE_START},
)
"""Scales that can be put in one order: birth lies between the ages, and other times are taken as ages."""
START = re.compile(
    r"naive|baseline|control|ctrl|untreated|un-?stim(ulated)?|rest(ing)?|[hm]?i?pscs?|[hm]?escs?|start|before|pre"
    r"|initial|mock|uninfected|quiescent|zero"
)
"""Words that usually name the start of a course."""
ANY_TIME = {"time", "timepoint", "tp", "point", "t"}
VALUE = r"(?P<value>\d+(?:[.,]\d+)?)(?:\s*(?:-|to)\s*(?P<end>\d+(?:[.,]\d+)?))?"
BARE = re.compile(rf"(?P<sign>[+-]?)\s*{VALUE}")
ANY_UNIT = "|".join(names for _, names, _ in UNITS)
VALUE_UNIT = re.compile(  # not "il2 day 3", where the number belongs to a name, but "12 h 30 min"
    rf"(?P<sign>(?:^|(?<=[\s(]))[+-])?{VALUE}(?P<space>[\s-]+)?(?P<unit>[a-z]+)(?![a-z])"
    rf"(?(space)(?!\s*\d++(?!\s*(?:{ANY_UNIT})(?![a-z]))))"
)
UNIT_VALUE = re.compile(rf"(?P<unit>[a-z]+)(?P<gap>[\s.:(]*)(?P<sign>[+-]?){VALUE}(?!\d)")
DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[ t].*)?")


@dataclass(frozen=True)
class Order:
    """Labels from early to late; ``guess`` says what of it is one, ``conflict`` why there is none."""

    labels: list[str]
    guess: str = ""
    conflict: str = ""

    def __str__(self) -> str:
        few = (
            self.labels if len(self.labels) <= SHOWN else [*self.labels[: SHOWN - 1], "...", self.labels[-1]]
        )
        return " < ".join(few)


@dataclass(frozen=True)
class Reading:
    """A label as a value on a scale; ``unit`` in seconds, where it is one of time."""

    label: str
    scale: str
    value: float = 0.0
    unit: float = 0.0
    hyphen: bool | None = None


def order_times(labels: Iterable[str], categories: Sequence[str] = ()) -> Order:
    """Put different labels of sampling times in order.

    ``categories`` is the order in which a file lists them, if it does, for words alone. Words are a guess:
    those that usually name a start come first, others last.
    """
    listed = list(categories) if list(categories) != sorted(categories) else []
    named = natural_order(labels)
    named = sorted(named, key=lambda label: listed.index(label) if label in listed else len(listed))
    readings = _agreed([_read(label) for label in named])
    timed = [reading for reading in readings if reading.scale != WORD]
    words = [reading.label for reading in readings if reading.scale == WORD]
    if conflict := _conflict(timed):
        return Order(natural_order(named), conflict=conflict)
    timed.sort(key=lambda reading: (reading.scale != EMBRYONIC, reading.value))
    first = [word for word in words if any(map(START.fullmatch, re.findall(r"[a-z-]+", word.casefold())))]
    ordered = [*first, *(reading.label for reading in timed), *(w for w in words if w not in first)]
    return Order(ordered, guess=_guess(timed, words, len(ordered)))


def _read(label: str) -> Reading:
    text = re.sub(r"[\u2212\u2012-\u2015]|\bminus\s*", "-", label.strip().casefold().replace("_", " "))
    if DATE.fullmatch(text):
        return Reading(label, DATE_SCALE)  # sorts as it is written
    if bare := BARE.fullmatch(text):
        return Reading(label, NUMBER, _value(bare))
    matches = [*VALUE_UNIT.finditer(text), *UNIT_VALUE.finditer(text)]
    known = [(match, *read) for match in matches if (read := _unit(match["unit"]))]
    if not known:
        return _counted(label, matches[-1]) if matches else Reading(label, WORD)
    known.sort(key=lambda entry: _preference(entry[0], entry[1]))
    match, scale, seconds = known[0]
    value = _value(match) * seconds
    for finer, other, unit in known[1:]:  # 1h30min
        if (finer.re, other) == (match.re, scale) and unit < seconds and finer.start() >= match.end():
            value += _value(finer) * unit
    return Reading(label, scale, value, seconds, _hyphen(match))


def _preference(match: re.Match[str], scale: str) -> tuple[bool, bool, int]:
    """Ages first (``E8.5d``), then values before their unit, then long words before them (``H9 day 5``)."""
    before = match.re is UNIT_VALUE
    return scale not in (EMBRYONIC, POSTNATAL), before, -len(match["unit"]) if before else 0


def _counted(label: str, match: re.Match[str]) -> Reading:
    word = match["unit"]
    scale = NUMBER_OF_TIME if word in ANY_TIME else f"number of {word.removesuffix('s')}"
    return Reading(label, scale, _value(match), hyphen=_hyphen(match))


def _unit(word: str) -> tuple[str, float] | None:
    return next(((scale, seconds) for scale, names, seconds in UNITS if re.fullmatch(names, word)), None)


def _value(match: re.Match[str]) -> float:
    """The number of a match, with its sign; of a range (``0-30 min``) the middle."""
    first, last = (float((match[name] or "0").replace(",", ".")) for name in ("value", "end"))
    return (-1 if match["sign"] == "-" else 1) * ((first + last) / 2 if last > first else first)


def _hyphen(match: re.Match[str]) -> bool | None:
    """Whether a hyphen joins word and number (``Day-2``); None where no word comes before the number."""
    return match["sign"] == "-" and not match["gap"] if match.re is UNIT_VALUE else None


def _agreed(readings: Sequence[Reading]) -> list[Reading]:
    """Tell from all labels whether hyphens are signs, what ``m`` is, and that 0 is 0 on any scale of time."""
    joined = [reading.hyphen for reading in readings if reading.hyphen is not None]
    if joined and all(joined):
        readings = [replace(r, value=-r.value) if r.hyphen else r for r in readings]
    units = {reading.unit for reading in readings if reading.scale == SINCE_START}
    short, long = any(unit <= HOUR for unit in units), any(unit >= WEEK for unit in units)
    if short != long:
        minute_or_month = 60.0 if short else 365.25 / 12 * DAY
        readings = [
            replace(r, scale=SINCE_START, value=r.value * minute_or_month)
            if r.scale == MINUTES_OR_MONTHS
            else r
            for r in readings
        ]
    others = {r.scale for r in readings} - {WORD, *PLAIN}
    if len(others) == 1:
        scale = others.pop()
        readings = [replace(r, scale=scale) if r.scale in PLAIN and r.value == 0 else r for r in readings]
    return list(readings)


def _conflict(timed: Sequence[Reading]) -> str:
    """Two labels that stand on scales with nothing in common, if there are any."""
    scales = {reading.scale: reading.label for reading in timed}
    if len(scales) <= 1 or set(scales) in MEETING:
        return ""
    first, second, *_ = scales.values()
    return f"{first!r} and {second!r} are not times on one scale"


def _guess(timed: Sequence[Reading], words: Sequence[str], n_labels: int) -> str:
    """What of an order is a guess."""
    if n_labels < 2:
        return ""
    guesses = []
    if words:
        more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
        guesses.append(f"the place of {', '.join(map(repr, words[:SHOWN]))}{more}, which no number tells")
    same = [
        f"{earlier.label!r} before {later.label!r}, which are the same time"
        for earlier, later in pairwise(timed)
        if (earlier.scale, earlier.value) == (later.scale, later.value) and earlier.scale != DATE_SCALE
    ]
    guesses += same[:1]
    if {POSTNATAL, SINCE_START} <= {reading.scale for reading in timed}:
        guesses.append("that all times without P are ages after birth")
    return "; ".join(guesses)
