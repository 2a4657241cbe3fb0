"""The embedded servers and the supervisor behind `manage.py up`.

Nothing here imports Django or product code: the test session and the benchmarks start servers of their own
from these modules before any settings exist.
"""

from __future__ import annotations
