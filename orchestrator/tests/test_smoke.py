import pytest
from datetime import timedelta
from orchestrator import testkit, runner
from orchestrator.loop import Loop
from orchestrator.models import *
from orchestrator.probe import NoProbe
from tradingsite.foundation import clock

@pytest.mark.django_db(transaction=True)
def test_one(at):
    toy = testkit.toy_type()
    with testkit.registered(toy), clock.use(clock.VirtualClock(clock.now())) as c:
        testkit.make_workflow(toy, c.now(), slug="a")
        testkit.switch_on(c.now())
        ring = testkit.SilentRing()
        loop = Loop(holder="a", probe=NoProbe(), enqueue=ring)
        r = loop.tick(c.now()); print(r)
        assert r.planned == 2
        for pk in ring.rung: print(runner.execute(pk))
        c.advance(timedelta(seconds=1))
        print(loop.tick(c.now()))
        c.advance(timedelta(seconds=1))
        print(loop.tick(c.now()))
        print(list(Run.objects.values()), list(RunStep.objects.values()), list(RunEvent.objects.values_list("event","epoch")))
        print(Decision.objects.values("action","cause","fold_key","counterfactuals"))
        from tradingsite.foundation import invariants
        for x in invariants.run(c.now(), ("I9","I10","I11","I18","I22")): print(x); assert x.ok
