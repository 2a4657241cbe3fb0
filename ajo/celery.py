"""The Celery application: the doorbell. Truth is in PostgreSQL rows; losing every Celery message costs seconds."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from celery.signals import beat_init, worker_process_init, worker_ready
from kombu import Connection
from kombu.transport import redis

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ajo.settings")

# A ring that was not acknowledged needs no second life, for beat rings every second. Kombu's attempt to hand it back
# when the broker went away ends the whole worker: the pool that it would need is closed by then.
redis.Channel.do_restore = False


class _Connection(Connection):
    """Looks for a lost broker every second; Celery's own pauses grow to half a minute."""

    def ensure_connection(self, *args: Any, **options: Any) -> Connection:
        return super().ensure_connection(*args, **{"interval_start": 1, "interval_step": 0, **options})


class _Amqp(AMQP):
    Connection = _Connection


app = Celery("ajo", amqp=_Amqp)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect
def calm_garbage_collector(**_: Any) -> None:
    """Batches make tens of thousands of objects that live for a moment; looking through all of Django for each ten
    thousand of them costs a third of the time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@beat_init.connect
@worker_ready.connect
def tell_supervisor(**_: Any) -> None:
    """Write the file that `manage.py up` waits for: a worker is ready when it consumes, not when it was started."""
    if ready_file := os.environ.get("AJO_READY_FILE"):
        Path(ready_file).touch()
