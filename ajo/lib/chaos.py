"""Points in the code at which a fault test may kill or delay the process.

They do nothing unless AJO_CHAOS is set, to `point:probability:kill` or `point:probability:sleep=seconds`, several
separated by commas.
"""

from __future__ import annotations

import os
import random
import signal
import time

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def _parse(text: str) -> dict[str, tuple[float, str]]:
    faults = {}
    for item in filter(None, text.split(",")):
        try:
            name, probability, action = item.split(":")
            faults[name] = (float(probability), action)
        except ValueError:
            raise ImproperlyConfigured(
                f"AJO_CHAOS has {item!r}; write point:probability:kill or …:sleep=3."
            ) from None
    return faults


_faults = _parse(os.environ.get("AJO_CHAOS", ""))


def point(name: str) -> None:
    """Perhaps do not come back."""
    if not _faults:
        return
    if not settings.DEBUG:
        raise ImproperlyConfigured(
            "AJO_CHAOS kills processes on purpose; unset it, or set AJO_DEBUG=1 in a test."
        )
    probability, action = _faults.get(name, (0.0, ""))
    if random.random() < probability:
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            time.sleep(float(action.removeprefix("sleep=")))
