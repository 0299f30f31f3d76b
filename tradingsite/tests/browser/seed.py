"""Fills the browser tests' database by running the real system for half an hour of virtual time.

Run as `python -m tradingsite.tests.browser.seed`; nothing is written past the services.
"""

from __future__ import annotations

from datetime import timedelta

import django


def main() -> None:
    django.setup()
    from assets.markets import pump
    from assets.markets.feeds.simulated import SimulatedFeed
    from assets.trading.services import equity, matching
    from orchestrator import runner
    from orchestrator.loop import Loop
    from orchestrator.selectors.replay import open_run_ids
    from orchestrator.services import control
    from tradingsite.foundation import alerts, audit, clock, setup
    from tradingsite.foundation.testkit import PASSWORD, make_user
    from tradingsite.management.bootstrap import bootstrap
    from tradingsite.management.replay.driver import SteadyHost

    setup.create_first_admin(username="alice", email="alice@example.org", password=PASSWORD)
    make_user("bob", "operator")
    make_user("charlie", "viewer")
    end = clock.now()
    virtual = clock.VirtualClock(end - timedelta(minutes=30))
    clock.set_clock(virtual)
    now = virtual.now()
    bootstrap(now)
    control.start(audit.system("seed"), now, "browser tests")
    feed, loop = SimulatedFeed(), Loop(holder="seed", probe=SteadyHost(), enqueue=lambda run_ids: None)
    while now < end:
        virtual.advance_to(now)
        pump.pump(feed, now)
        matching.match(now)
        if loop.tick(now).planned:
            for run_id in open_run_ids():
                runner.execute(run_id)
        equity.snapshot(now)
        now += timedelta(minutes=1)
    loop.resign()
    clock.set_clock(clock.RealClock())
    pump.pump(feed, clock.now())
    alerts.raise_alert(
        key="browser", code="disk-low", severity="warning", subject="<b>disk</b>", params={}, now=clock.now()
    )


if __name__ == "__main__":
    main()
