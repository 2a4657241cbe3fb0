"""The web application: the hot doors first, Django for everything else."""

from __future__ import annotations

import os
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ajo.settings")

# Before the imports below: they need the apps to be loaded.
django_application = get_wsgi_application()

from channels.tracking import wsgi as tracking  # noqa: E402
from offers import wsgi as decisions  # noqa: E402
from profiles.ingest import requests  # noqa: E402
from profiles.ingest.wsgi import door  # noqa: E402


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Hot calls skip Django's handler and middleware: they would cost more than the work itself."""
    if environ["PATH_INFO"].startswith(requests.PREFIXES):
        return door()(environ, start_response)
    if environ["PATH_INFO"].startswith(tracking.PREFIX):
        return tracking.door()(environ, start_response)
    if environ["PATH_INFO"] == decisions.PATH and (key := decisions.door().takes(environ)):
        return decisions.door().answer(key, environ, start_response)
    return django_application(environ, start_response)
