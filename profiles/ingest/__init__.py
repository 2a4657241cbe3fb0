"""The door of events: Segment's HTTP spec, answered only after the commit.

`decode` (with `clock` and `json_shape`, all pure) turns a body into events and problems by index; `writer` stores
events in one statement; `requests` reads the headers; `wsgi` is the door that `ajo.wsgi` mounts in front of Django.
"""

from __future__ import annotations
