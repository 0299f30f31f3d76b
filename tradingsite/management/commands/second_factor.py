"""The way back in for somebody who lost phone and recovery codes: manage.py second_factor off NAME."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from tradingsite.foundation import second_factor, selectors
from tradingsite.foundation.commands import EXIT_OK, JsonCommand


class Command(JsonCommand):
    help = "show NAME: whether the second factor of a user is on. off NAME: forget it, so that the password alone logs in."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=("show", "off"))
        parser.add_argument("user", help="name of the user")

    def run(self, options: dict[str, Any]) -> int:
        user = selectors.user_named(options["user"])
        if options["action"] == "off":
            second_factor.turn_off(user, actor=self.actor())
        found = second_factor.standing(user)
        text = f"The second factor of {user.get_username()} is {'on' if found.is_on else 'off'}."
        self.emit(
            {"ok": True, "user": user.get_username(), "on": found.is_on, "codes_left": found.codes_left},
            text=text,
        )
        return EXIT_OK
