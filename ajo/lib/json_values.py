"""Looking into parsed JSON before it is stored. Pure."""

from __future__ import annotations

from typing import Any


def is_deeper(value: Any, limit: int) -> bool:
    """Whether a parsed document nests objects and arrays more than `limit` deep."""
    level = [value]
    for _ in range(limit):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return any(isinstance(item, dict | list) for item in level)


def path_of_nul(value: Any, path: str) -> str | None:
    """The dotted path of the first text or name that holds the character NUL, which PostgreSQL cannot store."""
    if isinstance(value, str):
        return path if "\0" in value else None
    if isinstance(value, dict):
        for key, child in value.items():
            if "\0" in key:
                return path
            if found := path_of_nul(child, f"{path}.{key}"):
                return found
    elif isinstance(value, list):
        for index, child in enumerate(value):
            if found := path_of_nul(child, f"{path}.{index}"):
                return found
    return None
