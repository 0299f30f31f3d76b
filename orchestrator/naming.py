"""What a workflow is called: by the title of its type in the reader's language, unless a person gave it a name."""

from __future__ import annotations

from django.conf import settings
from django.utils import translation

from orchestrator import plugins

_titles: dict[str, tuple[plugins.WorkflowType, frozenset[str]]] = {}


def shown(type_key: str, name: str) -> str:
    """`name`, or the type's title when `name` is that title in any of our languages: then nobody chose it."""
    try:
        kind = plugins.get(type_key)
    except plugins.UnknownWorkflowType:
        return name
    known = _titles.get(type_key)
    if known is None or known[0] is not kind:
        known = _titles[type_key] = (kind, _in_all_languages(kind))
    return str(kind.title) if name in known[1] else name


def _in_all_languages(kind: plugins.WorkflowType) -> frozenset[str]:
    found = set()
    for code, _name in settings.LANGUAGES:
        with translation.override(code):
            found.add(str(kind.title))
    return frozenset(found)
