"""Every environment variable the system knows: its name and one line of help.

A `TRADING_*` variable that is not listed here stops the start-up, because a misspelt limit that is silently
ignored is worse than no limit. The table in README.md is compared with this one by a test.
"""

import re
import sys
from typing import Final

PREFIX: Final = "TRADING_"

VARIABLES: Final[dict[str, str]] = {
    # Where things live
    "TRADING_VAR_DIR": "Directory of everything the system writes (database, keys, cache). Default: var/",
    "TRADING_DATABASE_URL": "postgresql://user:password@host:5432/name. Default: SQLite in the var directory",
    "TRADING_DATABASE_PATH": "SQLite file, absolute path. Default: db.sqlite3 in the var directory",
    "TRADING_REDIS_URL": "redis://... for cache and process status. Default: files in the var directory",
    # Web
    "TRADING_DEBUG": "True or False (default). Refused in production",
    "TRADING_SECRET_KEY": "Signing key, 50 characters or more. Default: made once, kept in var/secret.key",
    "TRADING_SECRET_KEY_FILE": "File with the signing key; only its owner may read it. Default: var/secret.key",
    "TRADING_FIELD_KEYS": "Comma separated Fernet keys of stored credentials, newest first. Default: var/field.keys",
    "TRADING_FIELD_KEYS_FILE": "File with the Fernet keys, one per line, newest first. Default: var/field.keys",
    "TRADING_ALLOWED_HOSTS": "Comma separated host names the site answers to. Default: loopback only",
    "TRADING_PUBLIC_URL": "Address people use, e.g. https://trading.example.org. Required in production",
    "TRADING_TRUSTED_PROXIES": "Trusted proxies in front, 0 to 5. Default: 0; required in production",
    "TRADING_BIND": "host:port `manage.py run` listens on. Default: 127.0.0.1:8000",
    "TRADING_WEB_THREADS": "Threads of the web server (1 to 64). Default: 4",
    "TRADING_SESSION_IDLE_MIN": "Minutes without a click after which a login ends (1 to 1440). Default: 30",
    "TRADING_SESSION_HOURS": "Hours after which every login ends (1 to 168). Default: 12",
    "TRADING_ADMIN_PATH": "Path of the administration pages. Default: backoffice/",
    # Work
    "TRADING_WORKERS": "Worker processes of the trading lane (1 to 64). Default: 2",
    "TRADING_MAINTENANCE_WORKERS": "Worker processes of the maintenance lane (1 to 16). Default: 1",
    "TRADING_TASK_TIMEOUT_S": "Longest a task may run, in seconds (10 to 3600). Default: 120",
    "TRADING_WORKER_MAX_RSS_MB": "Memory at which a worker is replaced, in MB (100 to 16384). Default: 700",
    "TRADING_WEB_WORKERS": "Processes of the web server (1 to 64). Default: 1",
    "TRADING_CANARY_S": "Seconds between canary tasks of a worker cluster (1 to 60). Default: 8",
    "TRADING_CANARY_PATIENCE_S": "A canary unanswered for so long restarts the cluster (2 to 300). Default: 20",
    "TRADING_FEED": "Where prices come from: simulated (default, demo), binance, alpaca, fxcm, replay or none",
    "TRADING_FEED_SEED": "Seed of the simulated feed (0 to 2147483647). Default: 1",
    "TRADING_BINANCE_URL": "Address of a stand-in for Binance's public API (tests). Default: the real one",
    "TRADING_ALPACA_KEY": "API key for Alpaca's market data, for the feed alpaca; accounts have keys of their own",
    "TRADING_ALPACA_SECRET": "Its secret",
    "TRADING_ALPACA_PAPER": "True (default): live accounts at Alpaca use its paper endpoint; False: real money",
    "TRADING_ALPACA_URL": "Address of a stand-in for Alpaca's API (tests). Default: the real ones",
    "TRADING_FXCM_FIX_HOST": "Host of FXCM's FIX 4.4 server, as its support told you; TLS unless it is this machine",
    "TRADING_FXCM_FIX_PORT": "Its port (0 to 65535). Default: 0, no connection",
    "TRADING_FXCM_FIX_SENDER": "SenderCompID of your FIX login at FXCM",
    "TRADING_FXCM_FIX_TARGET": "TargetCompID. Default: FXCM",
    "TRADING_FXCM_FIX_TARGET_SUB": "TargetSubID, which FXCM wants on every message, e.g. U100D1",
    "TRADING_FXCM_FIX_MD_SENDER": "SenderCompID of the market data login, for the feed fxcm; accounts have their own",
    "TRADING_FXCM_FIX_MD_USER": "Its user name",
    "TRADING_FXCM_FIX_MD_PASSWORD": "Its password",
    "TRADING_RETENTION_DAYS": "Days old runs, decisions, findings and resolved alerts are kept (30 to 3650). Default: 90",
    "TRADING_RETENTION_QUEUE_DAYS": "Days results of the task queue are kept (1 to 365). Default: 7",
    "TRADING_EQUITY_MINUTE_DAYS": "Days of equity by the minute, then by the hour (2 to 3650). Default: 14",
    "TRADING_EQUITY_HOUR_DAYS": "Days of equity by the hour, then by the day (2 to 3650). Default: 365",
    "TRADING_HALT": "True stops all trading whatever the database says. Default: False",
    "TRADING_MAX_TOTAL_EXPOSURE": "Value of all positions of one mode over equity (0 to 100, 0: no limit). Default: 2",
    "TRADING_LIVE_ENABLED": "True allows accounts to be switched to live. Default: False (paper only)",
    "TRADING_LIVE_DAYS": "Days an account stays switched to live before a person must approve again (1 to 365). Default: 30",
    # Replay: set by `manage.py replay` for the workers it starts, never by hand
    "TRADING_CLOCK": "real (default), or run: a worker takes the planned time of its run as the present",
    "TRADING_REPLAY": "True while stored candles are replayed on a scratch database. Default: False",
    # What is said
    "TRADING_LOG_LEVEL": "DEBUG, INFO (default), WARNING or ERROR",
    "TRADING_LOG_FORMAT": "text (default) or json",
    "TRADING_LANGUAGE": "Language before anyone signs in: en (default) or fr",
    "TRADING_EMAIL_URL": "smtp://user:password@host:587 (STARTTLS) or smtps://...:465, for alerts by e-mail",
    "TRADING_EMAIL_FROM": "Sender of e-mails. Default: trading@localhost",
    "TRADING_NOTIFY_ALLOW": "Comma separated host:port alerts may go to besides ports 80 and 443 of the open internet",
    "TRADING_HEARTBEAT_URL": "Address asked every minute while all works, so that an outside monitor notices silence",
    # Tests
    "TRADING_TEST_DATABASE_URL": "PostgreSQL the tests may create a database in. Default: SQLite",
}

# Values that must never be shown, not even in an error about themselves.
SECRET: Final = frozenset(
    {
        "TRADING_SECRET_KEY",
        "TRADING_FIELD_KEYS",
        "TRADING_DATABASE_URL",
        "TRADING_REDIS_URL",
        "TRADING_ALPACA_KEY",
        "TRADING_ALPACA_SECRET",
        "TRADING_FXCM_FIX_MD_PASSWORD",
        "TRADING_EMAIL_URL",
        "TRADING_HEARTBEAT_URL",
        "TRADING_TEST_DATABASE_URL",
    }
)


def table() -> list[str]:
    """The rows of README's configuration table: name, meaning, default."""
    rows = []
    for name, text in VARIABLES.items():
        default = "none"
        if found := re.search(r"\.? Default: (.+)$", text):
            default, text = found[1], text[: found.start()]
        elif found := re.search(r"(\w+) \(default(?:, [^)]+)?\)", text):
            default = found[1]
        rows.append(f"| `{name}` | {text} | {default} |")
    return rows


if __name__ == "__main__":
    # python -m tradingsite.settings.catalogue: after a change, paste this into README.md.
    sys.stdout.write("\n".join(table()) + "\n")
