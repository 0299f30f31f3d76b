"""What `manage.py run` becomes once the database is ready: the supervisor of all processes.

It is a program of its own (`python -m tradingsite.management.tree`) that loads neither apps nor settings: it stays small
and keeps working whatever happens to the database.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path

from tradingsite.foundation import clock
from tradingsite.management.supervisor import Child, Supervisor
from tradingsite.settings.queue import LANES

ROOT = Path(__file__).resolve().parents[2]


def processes(bind: str) -> list[Child]:
    """The process tree, in the order it is started."""
    manage = [sys.executable, str(ROOT / "manage.py")]
    web = [sys.executable, "-m", "gunicorn", "--config", "python:tradingsite.management.web", "--bind", bind]
    children = [
        Child(
            name="web", command=[*web, "tradingsite.wsgi:application"], has_pulse=False
        ),  # gunicorn has its own watch
        Child(name="loop", command=[*manage, "loop"]),
        Child(name="feed", command=[*manage, "feed"]),
    ]
    for lane in LANES:
        command = [*manage, "workers", "--lane", lane]
        # django-q2 reads its cluster's name while it is imported; given here it need not start twice.
        children.append(Child(name=f"workers-{lane}", command=command, environment={"Q_CLUSTER_NAME": lane}))
    return children


def command(bind: str, without: Sequence[str]) -> list[str]:
    """The command line of this program."""
    left_out = [part for name in without for part in ("--without", name)]
    return [sys.executable, "-m", "tradingsite.management.tree", "--bind", bind, *left_out]


def main(argv: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run the tree until SIGTERM or SIGINT."""
    parser = ArgumentParser(prog="tree")
    parser.add_argument("--bind", required=True)
    parser.add_argument("--without", action="append", default=[])
    options = parser.parse_args(argv)
    children = [child for child in processes(options.bind) if child.name not in options.without]
    Supervisor(children=children, environment=environment, on_event=_say).serve()


def _say(event: str) -> None:
    sys.stderr.write(f"{clock.now():%H:%M:%S} {event}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    import os

    main(sys.argv[1:], os.environ)
