from __future__ import annotations
import time
from datetime import timedelta
import pytest
from ajo.lib import sql
from journeys import runner, services
from tests.factories import *
from tests.journeys.helpers import *
@pytest.mark.django_db(transaction=True)
def test_paused():
    v=make_live(waiting_graph(minutes=5)); w=make_live(waiting_graph(minutes=5))
    services.pause_journey(journey=v.journey,user=None)
    with sql.cursor() as c:
        c.execute("INSERT INTO profile (attributes) SELECT '{}' FROM generate_series(1,200000)")
        c.execute("INSERT INTO journey_wait (instance_id,version_id,activity,visit,profile_id,due_at) SELECT 1000000+g, %s,'wait',2,g,%s FROM generate_series(1,200000) g",[v.pk,NOW])
        c.execute("VACUUM ANALYZE")
    stream(*[make_event(p) for p in range(1,11)])
    for i in range(8):
        t=time.perf_counter(); n=runner.take_due_batch(NOW+timedelta(minutes=5)); print("claimed",n,round((time.perf_counter()-t)*1000,1),"ms with 200k paused due rows")
