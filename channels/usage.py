"""Where contents are used."""

from __future__ import annotations

from ajo.lib.usage import Finders, FindUses, Use

__all__ = ["FindUses", "Use", "register", "uses_of"]

_finders = Finders()
register, uses_of = _finders.register, _finders.uses_of
