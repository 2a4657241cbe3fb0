"""How every room speaks JSON: who may ask, what is refused and how, pages, repeats, and the description.

A room's `api/` builds its views on `views.Door` and `views.ViewSet`, its shapes on `serializers.Strict`, and refuses
with `problems.Refused`.
"""

from __future__ import annotations
