"""The keys that a configuration takes at a place of its file, told to whoever wrote another."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel


def unknown_key(model: type[BaseModel], place: Sequence[int | str]) -> str:
    """What to say of the key at the end of `place` (pydantic's `loc`): those nearest to it, or else all there are."""
    known = _known(model, place[:-1])
    near = get_close_matches(str(place[-1]), known, cutoff=0.7)
    if near:
        return f"unknown key: did you mean {' or '.join(near)}?"
    return f"unknown key: there are {', '.join(known)}" if known else "unknown key"


def _known(model: type[BaseModel], place: Sequence[int | str]) -> list[str]:
    whole = model.model_json_schema()
    here = _choices(whole, whole)
    for part in place:
        here = [choice for schema in here for choice in _choices(_inside(schema, part), whole)]
    return list(dict.fromkeys(key for schema in here for key in schema.get("properties", ())))


def _inside(schema: dict[str, Any], part: int | str) -> dict[str, Any]:
    """The schema of a member; of itself where `part` only says which of several kinds it is, nothing if another."""
    if isinstance(part, int):
        return schema.get("items", {})
    members = schema.get("properties", {})
    if part in members:
        return members[part]
    return schema if members.get("kind", {}).get("const", part) == part else {}


def _choices(schema: dict[str, Any], whole: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas that one may be: its reference followed, its alternatives apart."""
    if "$ref" in schema:
        return _choices(whole["$defs"][schema["$ref"].rpartition("/")[2]], whole)
    alternatives = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    return [choice for each in alternatives for choice in _choices(each, whole)] if alternatives else [schema]
