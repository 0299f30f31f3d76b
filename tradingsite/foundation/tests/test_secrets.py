from __future__ import annotations

import base64
import os
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from tradingsite.foundation import secrets
from tradingsite.foundation.secrets import Undecryptable

PLACE = "account:7:secret"


def new_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def test_a_secret_is_opened_at_its_place_only() -> None:
    sealed = secrets.seal("canary-ü", place=PLACE)
    assert "canary" not in sealed and sealed != secrets.seal("canary-ü", place=PLACE)
    assert secrets.unseal(sealed, place=PLACE) == "canary-ü"
    with pytest.raises(Undecryptable, match="account:8"):
        secrets.unseal(sealed, place="account:8:secret")


@pytest.mark.parametrize(
    "damage",
    [
        lambda s: s[:-6] + "AAAA==",
        lambda s: "",
        lambda s: "v2" + s[2:],
        lambda s: s.replace(":", "", 1),
        lambda s: s[:12] + "%%%",
    ],
)
def test_damaged_text_is_refused_without_telling_the_secret(damage: Any) -> None:
    with pytest.raises(Undecryptable) as caught:
        secrets.unseal(damage(secrets.seal("canary", place=PLACE)), place=PLACE)
    assert "canary" not in str(caught.value)


def test_rotation_reads_old_keys_and_writes_the_newest(settings: Any) -> None:
    old, new = new_key(), new_key()
    settings.FIELD_ENCRYPTION_KEYS = [old]
    sealed = secrets.seal("canary", place=PLACE)
    settings.FIELD_ENCRYPTION_KEYS = [new, old]
    moved = secrets.reseal(sealed, place=PLACE)
    assert secrets.reseal(moved, place=PLACE) == moved != sealed
    settings.FIELD_ENCRYPTION_KEYS = [new]
    assert secrets.unseal(moved, place=PLACE) == "canary"
    with pytest.raises(Undecryptable):
        secrets.unseal(sealed, place=PLACE)


@pytest.mark.parametrize("keys", [[], ["c2hvcnQ="]])
def test_missing_or_short_keys_stop_loudly(settings: Any, keys: list[str]) -> None:
    settings.FIELD_ENCRYPTION_KEYS = keys
    with pytest.raises(ImproperlyConfigured):
        secrets.seal("x", place=PLACE)


def test_only_the_end_of_a_long_secret_is_shown() -> None:
    assert (secrets.hint("AKIA0123456789"), secrets.hint("short")) == ("…6789", "…")
