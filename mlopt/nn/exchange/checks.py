"""Checks of what a file says in JSON: an object's arguments, each of a kind that is expected."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, TypeAlias

Check: TypeAlias = Callable[[Any], bool]
# whether a value is good, how it is described, whether it must be there
Expected: TypeAlias = tuple[Check, str, bool]


def parsed(text: bytes | str, what: str) -> dict[str, Any]:
    """A JSON object, without what JSON leaves open: keys twice, NaN, infinity."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError(f"{what} has a key twice")
        return found

    def constant(name: str) -> Any:
        raise ValueError(f"{what} has the number {name}")

    try:
        found = json.loads(text, object_pairs_hook=unique, parse_constant=constant)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{what} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{what} must be a JSON object, not {type(found).__name__}")
    return found


def check_arguments(kind: str, arguments: dict[str, Any], expected: dict[str, Expected]) -> None:
    if unknown := arguments.keys() - expected.keys():
        raise ValueError(f"its {kind} has the unknown arguments {short(sorted(unknown))}")
    for name, (good, described, required) in expected.items():
        if name not in arguments:
            if required:
                raise ValueError(f"its {kind} lacks the argument {name}")
        elif not good(arguments[name]):
            raise ValueError(f"its {kind} must have for {name} {described}, not {short(arguments[name])}")


def short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


# --- what arguments may be -----------------------------------------------------------------------


def is_string(value: Any) -> bool:
    return isinstance(value, str)


def is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not is_bool(value) and math.isfinite(value)


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not is_bool(value) and value >= 0


def is_width(value: Any) -> bool:
    return is_count(value) and 1 <= value <= 1 << 24


def is_list(of: Check) -> Check:
    return lambda value: isinstance(value, list) and all(of(item) for item in value)


def one_of(*checks: Check) -> Check:
    return lambda value: any(check(value) for check in checks)


def is_none(value: Any) -> bool:
    return value is None
