"""The site map as the sidebar shows it. Asset types come from what is plugged in."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _

from orchestrator import plugins


@dataclass(frozen=True, slots=True)
class Item:
    title: str
    url: str
    icon: str
    current: bool


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    items: tuple[Item, ...]


def asset_title(asset_type: str) -> str:
    """The title of the asset type's first workflow type; the key itself when nothing is plugged in."""
    for workflow_type in plugins.all_types():
        if workflow_type.asset_type == asset_type:
            return str(workflow_type.title)
    return asset_type.replace("_", " ").capitalize()


def groups(path: str, *, may_audit: bool) -> tuple[Group, ...]:
    """All groups with the page at `path` marked."""

    def item(title: str, name: str, icon: str, *args: str) -> Item:
        url = reverse(f"pages:{name}", args=args)
        return Item(title, url, icon, path == url or (url != "/" and path.startswith(url)))

    assets = tuple(item(asset_title(key), "asset", "chart", key) for key in plugins.asset_types())
    return (
        Group("", (item(_("Overview"), "overview", "overview"), item(_("Decisions"), "decisions", "why"))),
        Group(_("Assets"), (*assets, item(_("Instruments"), "instruments", "coins"))),
        Group(
            _("Trading"),
            (
                item(_("Positions"), "positions", "wallet"),
                item(_("Orders"), "orders", "list"),
                item(_("Trades"), "trades", "swap"),
                item(_("Risk"), "risk", "shield"),
            ),
        ),
        Group(
            _("Operation"),
            (
                item(_("Workflows"), "workflows", "flow"),
                item(_("Runs"), "runs", "runs"),
                item(_("Health"), "health", "health"),
                item(_("Alerts"), "alerts", "bell"),
                *((item(_("Audit log"), "audit", "audit"),) if may_audit else ()),
            ),
        ),
    )


def bottom(all_groups: tuple[Group, ...]) -> tuple[Item, ...]:
    """The four places of the bottom bar on a phone."""
    overview, decisions = all_groups[0].items
    return (overview, decisions, all_groups[2].items[0], all_groups[3].items[0])


def places() -> dict[str, str]:
    """Second keys of the "g" shortcuts."""
    names = {
        "o": "overview",
        "d": "decisions",
        "w": "workflows",
        "p": "positions",
        "a": "alerts",
        "h": "health",
        "r": "runs",
    }
    return {key: reverse(f"pages:{name}") for key, name in names.items()}
