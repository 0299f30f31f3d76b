"""The short form of `make torture`: its parent is killed on the way, goes on, and must notice what is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.conf import settings

from orchestrator.process.lifeline import tie_to_this_process
from tradingsite.foundation import clock

pytestmark = pytest.mark.timeout(900)
SIZE = ("--intents", "150", "--kills", "20", "--batch", "150", "--seed", "3", "--keep")


def start(folder: Path) -> Any:
    return subprocess.Popen(
        [sys.executable, "-m", "assets.trading.tests.torture", *SIZE, "--dir", str(folder)],
        cwd=settings.BASE_DIR, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=tie_to_this_process(),
    )  # fmt: skip


def finish(process: Any) -> tuple[int, str]:
    out, _err = process.communicate(timeout=600)
    return process.returncode, out


def kills(folder: Path) -> int:
    path = folder / "state.json"
    return int(json.loads(path.read_text())["kills"]) if path.exists() else 0


def test_no_order_is_doubled_or_lost_while_processes_die(tmp_path: Path) -> None:
    folder = tmp_path / "torture"
    parent = start(folder)
    until = clock.monotonic() + 300
    while kills(folder) < 4 and clock.monotonic() < until:
        assert parent.poll() is None, parent.communicate()[0]
        time.sleep(0.1)
    tree = psutil.Process(parent.pid).children(recursive=True)
    assert len(tree) >= 7  # the nest and six of its children
    parent.send_signal(signal.SIGKILL)
    parent.communicate(timeout=20)
    _gone, alive = psutil.wait_procs(tree, timeout=5)
    assert not [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]

    code, out = finish(start(folder))
    assert code == 0, out
    assert "generation 2" in out and "0 duplicates, 0 violations" in out
    told = json.loads(next(line for line in out.splitlines() if line.startswith('{"seed"')))
    assert told["sent"] >= 150 and told["kills"] >= 20 and told["errors"] == 0, out

    # And it would have noticed: an order the venue has twice.
    truth = folder / "truth.jsonl"
    lines = [json.loads(line) for line in truth.read_text().splitlines()]
    first = next(line for line in lines if line["e"] == "accepted")
    with truth.open("a") as file:
        file.write(json.dumps(first | {"id": max(line.get("id", 0) for line in lines) + 1}) + "\n")
    code, out = finish(start(folder))
    assert code == 1 and "DUPLICATE" in out and "seed 3" in out, out
