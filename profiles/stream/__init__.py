"""The stream step: from committed batches of ingest to profiles, in one transaction of thousands of events.

`resolve` (with `profiles.attributes` and `profiles.rollup`) is pure; `claim` owns batches, `sift` finds bad events,
`step` is the rim that runs the statements.
"""

from __future__ import annotations

from profiles.stream.step import take_batch

__all__ = ["take_batch"]
