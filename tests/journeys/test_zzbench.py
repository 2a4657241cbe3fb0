from __future__ import annotations
import time, os, cProfile, pstats
from datetime import timedelta
import pytest
from django.db import transaction, connection
from ajo.lib import sql
from ajo.lib.ids import uuid7
from journeys import runner
from journeys.activities import registry
from journeys.activities.base import Activity, Outcome
from journeys.models import *
from rest_framework import serializers
from tests.factories import *
from tests.journeys.helpers import *

class Fork(Activity):
    kind="fork"; label="f"; category="x"; Config=serializers.Serializer; uses_database=False
    def ports(self, c): return ("yes","no")
    def step(self, walks, place, now):
        yes=[];no=[]
        for w in walks: (yes if w.instance_id%25<2 else no).append(w)
        return Outcome(moved={"yes":yes,"no":no})

N=200_000
@pytest.mark.django_db(transaction=True)
def test_bench(monkeypatch):
    monkeypatch.setattr(registry,"_classes",{**registry._classes,"fork":Fork})
    make_cast_of_message()
    if os.environ.get("CUSTOM"):
        with sql.cursor() as c: c.execute("SET plan_cache_mode=force_"+os.environ["CUSTOM"]+"_plan")
    g={"activities":[entry_box(),box("wait","test_parking",minutes=5),box("fork","fork"),message_box(),box("wait2","test_parking",minutes=50),box("end","end")],
       "links":[link("entry","wait"),link("wait","fork"),link("fork","hello","yes"),link("fork","wait2","no"),link("hello","wait2"),link("wait2","end")]}
    v=make_live(g)
    with sql.cursor() as c:
        c.execute("INSERT INTO profile (attributes) SELECT '{}' FROM generate_series(1,%s)",[N])
        c.execute("SELECT min(id) m FROM profile"); m=c.fetchone().m
    # entries
    ids=list(range(m,m+N))
    t=time.perf_counter(); 
    pr=cProfile.Profile()
    spent=0
    for k in range(0,N,5000):
        evs=[make_event_fast(i,v) for i in ids[k:k+5000]]
        t0=time.perf_counter()
        if k==20000 and os.environ.get("PROF"): pr.enable()
        stream(*evs)
        if k==20000 and os.environ.get("PROF"): pr.disable(); pstats.Stats(pr).sort_stats("tottime").print_stats(18)
        spent+=time.perf_counter()-t0
    print("entries/s", N/spent)
    with sql.cursor() as c: c.execute("VACUUM ANALYZE")
    import psycopg, collections, gc
    if os.environ.get("NOGC"): gc.collect(); gc.freeze(); gc.disable()
    fetch=psycopg.Cursor.fetchall; adv=runner.Passage.advance; wr=runner.Passage.write; ws=runner.Passage._write_steps
    def tm(f,name):
        def w(*a,**k):
            t=time.perf_counter()
            try: return f(*a,**k)
            finally: acc[name]+=time.perf_counter()-t
        return w
    monkeypatch.setattr(psycopg.Cursor,"fetchall",tm(fetch,"fetchall")); monkeypatch.setattr(runner.Passage,"advance",tm(adv,"advance")); monkeypatch.setattr(runner.Passage,"write",tm(wr,"write")); monkeypatch.setattr(runner.Passage,"_write_steps",tm(ws,"write_steps"))
    global acc
    acc=collections.Counter(); ex=psycopg.Cursor.execute
    cnt=collections.Counter()
    def timed(self,q,*a,**k):
        key=str(q).strip()[:12]; cnt[key]+=1
        if os.environ.get("EXPL") and cnt[key]==20 and key.startswith(("WITH claimed","WITH due AS")):
            try:
                with transaction.atomic():
                    ex(self,"EXPLAIN (ANALYZE, BUFFERS, WAL) "+q,*a,**k); print("\n".join(r[0][:150] for r in self.fetchall())); raise ZeroDivisionError
            except ZeroDivisionError: pass
        t=time.perf_counter()
        try: return ex(self,q,*a,**k)
        finally: acc[str(q).strip()[:30]]+=time.perf_counter()-t
    monkeypatch.setattr(psycopg.Cursor,"execute",timed)
    for rnd in range(2):
        acc.clear()
        # floor: one update of (activity, due) on instance
        with sql.cursor() as c:
            t=time.perf_counter(); 
            with transaction.atomic():
                c.execute("UPDATE journey_instance SET activity='wait', hops=1 WHERE state=0")
            floor=c.rowcount/(time.perf_counter()-t)
            c.execute("VACUUM ANALYZE journey_instance")
        pr=cProfile.Profile()
        t=time.perf_counter(); n=0; b=0
        while True:
            if b==3 and os.environ.get("PROF"): pr.enable()
            k=runner.take_due_batch(NOW+timedelta(minutes=5 if rnd==0 else 55), int(os.environ.get("LIM","2000")))
            if b==3 and os.environ.get("PROF"): pr.disable(); pstats.Stats(pr).sort_stats("tottime").print_stats(25)
            b+=1
            if not k: break
            n+=k
        rate=n/(time.perf_counter()-t)
        for q,x in acc.most_common(10): print("   ",q.replace(chr(10)," "),round(x,2),"s")
        print("total",round(n/rate,2))
        print("round",rnd,"n",n,"rate",round(rate),"floor",round(floor),"ratio",round(rate/floor,3))

def make_event_fast(pid, v):
    return StreamEvent(id=uuid7(),batch_id=1,source_id=1,event_type_id=v.entry_event_type_id,kind=1,hops=0,occurred_at=NOW,received_at=NOW,profile_id=pid,properties="{}")
