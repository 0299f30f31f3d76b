"""Settings of the systems the fault tests start: dev, plus the toy app, with times that fit a test.

FAULT_ORCHESTRATOR is a JSON object for settings.ORCHESTRATOR; FAULT_SLOW_DISK=no spares tests the fsync per commit, which
only a power cut of the machine (not of the processes) would need.
"""

import json
import os

from tradingsite.settings import databases
from tradingsite.settings.dev import *  # noqa: F403
from tradingsite.settings.dev import DATABASES, INSTALLED_APPS, Q_CLUSTER

INSTALLED_APPS = [*INSTALLED_APPS, "tradingsite.tests.faults.toy.ToyConfig"]
ORCHESTRATOR = json.loads(os.environ.get("FAULT_ORCHESTRATOR", "{}"))
if os.environ.get("FAULT_SLOW_DISK") == "no" and "sqlite" in DATABASES["default"]["ENGINE"]:
    DATABASES["default"]["OPTIONS"]["init_command"] = databases.SQLITE_PRAGMAS.replace("=FULL", "=NORMAL")
if retry := os.environ.get("FAULT_QUEUE_RETRY"):
    Q_CLUSTER = {**Q_CLUSTER, "timeout": int(retry) - 1, "retry": int(retry)}
STORAGES = {**STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}  # noqa: F405
