"""The mailbox: a process of its own that receives what the product sends, keeps it and shows it.

`python -m ajo.runtime.mailbox --dir DIR` starts a real SMTP listener and a small HTTP service. It imports
nothing of the product and no Django, so tests, fault runs and benchmarks can count what really left us from
outside. The modules: `smtp` (the listener and its scripted bad behaviour), `store` (append-only files),
`mime` (a message as its reader sees it), `catalogue` (what can be searched and listed), `http` (the service), `phone`
(what phones and browsers received) with the services that reach them: `twilio`, `fcm`, `web_push`, and their `faults`.
"""

from __future__ import annotations
