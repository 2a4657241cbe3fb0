"""The root of `/api/v1/`: the schema, its documentation, and what belongs to no room."""

from __future__ import annotations
