from __future__ import annotations

from tests.channels.conftest import service

__all__ = ["service"]
