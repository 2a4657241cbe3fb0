"""What people do with a message: open it, click in it, leave. Public addresses, and the feedback that they write down.

`links` puts the addresses into content, `tokens` makes and reads what is in them, `wsgi` answers opens and clicks
before Django, `views` has the pages to unsubscribe, `feedback` has the events and `machines` says who was no person.
"""

from __future__ import annotations
