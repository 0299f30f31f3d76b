"""python -m assets.trading.tests.torture --intents 10000 --kills 1000 --seed 1 [--dir DIR | --resume DIR]

On SQLite, or on PostgreSQL through .ci/postgres. Ends with 0 when every comparison found both books equal, with 1 and the
seed, the order and the venue's lines when one did not. What was interrupted goes on with --resume.
"""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import tempfile
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("--intents", type=int, default=10000, help="orders that left for the venue")
    parser.add_argument("--kills", type=int, default=1000, help="processes killed")
    parser.add_argument("--batch", type=int, default=1000, help="orders between two comparisons")
    parser.add_argument("--seed", type=int, help="default: a new one")
    parser.add_argument("--resume", type=Path, metavar="DIR", help="go on where a run in DIR was interrupted")
    parser.add_argument(
        "--dir", type=Path, help="begin in DIR, or go on there; default: a new temporary directory"
    )
    parser.add_argument("--keep", action="store_true", help="leave everything there after a good end")
    options = parser.parse_args()
    # Whoever ends us politely wants the children gone and the command to go on.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if options.resume is not None and not (options.resume / "state.json").exists():
        parser.error(f"{options.resume} holds no run")
    folder = options.resume or options.dir or Path(tempfile.mkdtemp(prefix="torture-"))
    folder = folder.resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed

    from assets.trading.tests.torture import setup

    code = setup.start(folder, seed, intents=options.intents, kills=options.kills, batch=options.batch)
    if code == 0 and not options.keep:
        setup.remove(folder)
    return code


if __name__ == "__main__":
    sys.exit(main())
