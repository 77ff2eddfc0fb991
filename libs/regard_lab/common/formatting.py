"""Keys and numbers as people read them, the same in sentences, tables and figures."""

import math

Key = dict[str, str | int | float | bool]
"""What distinguishes a row from the others, such as `{"attention": "smyrf", "rounds": 2}`."""

MINUS = "−"


def parts(key: Key) -> tuple[str, str]:
    """A row's name and the rest of its key: {"attention": "smyrf", "rounds": 2} -> ("smyrf", "rounds 2")."""
    (first, value), *rest = key.items()
    name = value if isinstance(value, str) else f"{first} {_plain(value)}"
    return name, ", ".join(f"{field.replace('_', ' ')} {_plain(value)}" for field, value in rest)


def label(key: Key) -> str:
    """A row's key in one line: "smyrf, rounds 2"."""
    return ", ".join(part for part in parts(key) if part)


def _plain(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def number(value: float, digits: int | None = None) -> str:
    """A number with `digits` decimals, else whole or with four significant figures; minus is a minus sign."""
    if not math.isfinite(value):
        return str(value).replace("-", MINUS)
    if digits is not None:
        text = f"{value:,.{digits}f}"
    elif value == int(value) and abs(value) < 1e15:
        text = f"{int(value):,}"
    elif 1e-4 <= abs(value) < 1e6:
        text = f"{value:,.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"
    else:
        text = f"{value:.3e}"
    return f"{MINUS}{text[1:]}" if text.startswith("-") and text.strip("-0.,") else text.lstrip("-")


def signed(value: float, digits: int | None = None) -> str:
    """A difference with its sign; one that rounds to zero has none."""
    text = number(value, digits)
    return text if text.startswith(MINUS) or not text.strip("0.,") else f"+{text}"


def decimals(reach: float) -> int | None:
    """How many decimals show two significant figures of an interval of this half-width; `None` for width 0."""
    return max(0, 1 - math.floor(math.log10(reach))) if reach > 0 else None


def step(unit: str) -> str:
    """The unit of a difference: percentages differ by percentage points."""
    return "points" if unit == "%" else unit
