"""What the source must never do, read from its syntax: compare secrets with ==, run stored text, build SQL from values."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from tradingsite.tests.test_house_rules import PACKAGES, python_files

ROOT = Path(settings.BASE_DIR)
SECRETISH = re.compile(
    r"(^|_)(secret|signature|digest|hmac|token|password|passphrase|otp|mac)(s|_hash|_hex)?$"
)
HARMLESS = {"", "POST"}
RUNS_TEXT = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_CALLS = {
    ("pickle", "load"), ("pickle", "loads"), ("marshal", "loads"), ("shelve", "open"), ("yaml", "load"),
    ("yaml", "unsafe_load"), ("os", "system"), ("os", "popen"), ("joblib", "load"), ("dill", "loads"),
    ("torch", "load"),
}  # fmt: skip
FORBIDDEN_IMPORTS = {"pickle", "dill", "shelve", "marshal", "joblib", "cloudpickle"}
SQL_CALLS = {"execute", "executemany", "executescript", "raw", "extra", "RawSQL"}


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Call):
        return _name(node.func)
    return ""


def compared_secrets(source: str) -> list[int]:
    """Lines with == or != on something called like a secret (literals that are no secret do not count)."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare) or not any(
            isinstance(op, ast.Eq | ast.NotEq) for op in node.ops
        ):
            continue
        sides = [node.left, *node.comparators]
        literal = any(isinstance(side, ast.Constant) and side.value in HARMLESS for side in sides)
        if not literal and any(SECRETISH.search(_name(side).lower()) for side in sides):
            found.append(node.lineno)
    return found


def run_text(source: str) -> list[int]:
    """Lines that run stored text or open formats that can."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name.split(".")[0] for alias in node.names} if isinstance(node, ast.Import) else {
                (node.module or "").split(".")[0]
            }  # fmt: skip
            if names & FORBIDDEN_IMPORTS:
                found.append(node.lineno)
        if not isinstance(node, ast.Call):
            continue
        func = node.func
        if isinstance(func, ast.Name) and func.id in RUNS_TEXT:
            found.append(node.lineno)
        if isinstance(func, ast.Attribute) and (_name(func.value), func.attr) in FORBIDDEN_CALLS:
            found.append(node.lineno)
        for word in node.keywords:
            shell = word.arg == "shell" and getattr(word.value, "value", None) is not False
            if shell or (word.arg == "allow_pickle" and getattr(word.value, "value", None) is not False):
                found.append(node.lineno)
    return found


def _assigned(tree: ast.AST) -> dict[str, list[ast.expr]]:
    """By name, what is assigned to it anywhere in the module."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            for target in targets:
                found.setdefault(_name(target) if target else "", []).append(node.value)
    return found


def built_sql(source: str) -> list[tuple[int, str]]:
    """(line, text) of SQL made by formatting: f-strings with places, %, +, .format, or a variable made that way."""
    tree, found = ast.parse(source), []
    assigned = _assigned(tree)

    def is_built(node: ast.expr) -> bool:
        if isinstance(node, ast.JoinedStr):
            return any(isinstance(part, ast.FormattedValue) for part in node.values)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod | ast.Add):
            return True
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("format", "join")
        ):
            return True
        if isinstance(node, ast.Name):
            return any(
                not isinstance(value, ast.Name) and is_built(value) for value in assigned.get(node.id, [])
            )
        return False

    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and _name(node.func) in SQL_CALLS
            and node.args
            and is_built(node.args[0])
        ):
            found.append((node.lineno, ast.unparse(node.args[0])))
    return found


def _everywhere() -> Iterator[tuple[str, str]]:
    paths = [*python_files(*PACKAGES), ROOT / "manage.py"]
    assert len(paths) > 200
    for path in paths:
        yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "count"),
    [("if token == given: pass", 1), ("x = row.digest != other", 1), ("if a.signature == b: pass", 1),
     ("ok = hmac.compare_digest(a, b)", 0), ("if not secret: pass", 0), ("if password == '': pass", 0),
     ("if tokens_left == 3: pass", 0), ("f(api_secret() == x)", 1)],
)  # fmt: skip
def test_the_lint_for_comparisons_finds_what_it_is_for(line: str, count: int) -> None:
    assert len(compared_secrets(line)) == count


# Called a token and no secret; read by hand.
NOT_SECRET = {
    "orchestrator/health/canary.py": 1,  # which canary task came back
    "assets/markets/feeds/alpaca.py": 1,  # the next page of a list
}


def test_secrets_are_compared_in_constant_time() -> None:
    counts = {name: len(compared_secrets(text)) for name, text in _everywhere()}
    assert {name: count for name, count in counts.items() if count} == NOT_SECRET


@pytest.mark.parametrize(
    ("line", "count"),
    [("eval(x)", 1), ("import pickle", 1), ("from pickle import loads", 1), ("yaml.load(x)", 1), ("os.system(x)", 1),
     ("np.load(p, allow_pickle=True)", 1), ("np.load(p, allow_pickle=False)", 0), ("run(x, shell=True)", 1),
     ("re.compile(x)", 0), ("json.loads(x)", 0), ("exec(code)", 1)],
)  # fmt: skip
def test_the_lint_for_stored_code_finds_what_it_is_for(line: str, count: int) -> None:
    assert len(run_text(line)) == count


def test_no_stored_text_is_ever_run() -> None:
    assert [f"{name}:{line}" for name, text in _everywhere() for line in run_text(text)] == []


@pytest.mark.parametrize(
    ("line", "count"),
    [("cursor.execute(f'SELECT {x}')", 1), ("cursor.execute('SELECT %s' % x)", 1), ("c.execute('a' + x)", 1),
     ("M.objects.raw('SELECT {}'.format(x))", 1), ("q = f'SELECT {x}'\nc.execute(q)", 1), ("c.execute('SELECT 1')", 0),
     ("c.execute('SELECT %s', [x])", 0), ("q = 'SELECT 1'\nc.execute(q)", 0)],
)  # fmt: skip
def test_the_lint_for_sql_finds_what_it_is_for(line: str, count: int) -> None:
    assert len(built_sql(line)) == count


# SQL put together from names of our tables, constants and place marks, never from values; each read by hand. One more
# in a file fails the test: read it and count it.
BY_HAND = {
    "tradingsite/foundation/counting.py": 1, "tradingsite/foundation/sqlite/base.py": 1,
    "tradingsite/foundation/statements.py": 2, "tradingsite/foundation/triggers.py": 4,
    "tradingsite/foundation/web.py": 1, "tradingsite/management/replay/scratch.py": 4,
    "orchestrator/services/bulk.py": 3, "assets/markets/rawsql.py": 5, "assets/markets/services/candles.py": 1,
}  # fmt: skip


def test_sql_is_never_built_from_values() -> None:
    counts = {name: len(built_sql(text)) for name, text in _everywhere()}
    assert {name: count for name, count in counts.items() if count} == BY_HAND
