"""One line of what was checked, and the table of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from layerscope.doors.catalogues import aligned
from layerscope.files import whole

Result = Literal["agrees", "differs", "not published", "not checked"]
LONGEST, SHA256 = 66, 64


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was compared with what, and the outcome."""

    check: str
    source: str  # who says what is expected
    expected: str = ""
    found: str = ""
    difference: float | None = None
    allowed: float | None = None
    result: Result


def equal(check: str, source: str, expected: object, found: object) -> Check:
    """What must be the same."""
    result: Result = "agrees" if expected == found else "differs"
    return Check(check=check, source=source, expected=str(expected), found=str(found), result=result)


def near(check: str, source: str, difference: float, allowed: float, found: str = "") -> Check:
    """What may differ by so much; a difference that is no number is one."""
    result: Result = "agrees" if difference <= allowed else "differs"
    return Check(
        check=check, source=source, found=found, difference=difference, allowed=allowed, result=result
    )


def table(checks: Sequence[Check]) -> str:
    """The checks as aligned columns; long texts are shortened."""
    return aligned({name: _short(cell) for name, cell in row.items()} for row in _rows(checks))


def write_table(checks: Sequence[Check], output: Path) -> None:
    """The checks as a table with tabs, nothing shortened."""
    lines = [[field.name for field in fields(Check)], *(row.values() for row in _rows(checks))]
    with whole(output) as scratch:
        scratch.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")


def _rows(checks: Sequence[Check]) -> list[dict[str, str]]:
    return [{name: _text(value) for name, value in asdict(check).items()} for check in checks]


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else " ".join(str(value).split())


def _short(text: str) -> str:
    if len(text) == SHA256 and " " not in text:
        return f"{text[:12]}..."
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
