"""What all settings share. Flat lists; every value that depends on the machine comes from a typed reader."""

import os
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import django_stubs_ext

from tradingsite.settings import databases, env, logs, mail, queue

# Lets `models.Field[...]`, `ModelAdmin[...]` and the like be written with their types at run time.
django_stubs_ext.monkeypatch()
env.refuse_unknown()
env.refuse_wrong()

BASE_DIR = Path(__file__).resolve().parents[2]
VAR_DIR = env.env_path("TRADING_VAR_DIR", BASE_DIR / "var")
NODE_MODULES = BASE_DIR / "node_modules"

# --- Safety defaults: dev and production replace what they must -----------------------------------
DEBUG = False
SECRET_KEY = ""
FIELD_ENCRYPTION_KEYS: list[str] = []
ALLOWED_HOSTS: list[str] = []
LIVE_TRADING_ENABLED = env.env_bool("TRADING_LIVE_ENABLED", False)
LIVE_FOR = timedelta(days=env.env_int("TRADING_LIVE_DAYS", 30, minimum=1, maximum=365))

# --- Apps -----------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_q",
    "rest_framework",
    "django_htmx",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "tradingsite",
    "tradingsite.foundation",
    "orchestrator",
    "assets.markets",
    "assets.trading",
    "assets.research",
    # One line per asset type: all it takes to add one.
    "assets.meme_coins",
    "assets.crypto_lt",
    "assets.forex",
    "assets.etf",
]

MIDDLEWARE = [
    "tradingsite.foundation.middleware.SecurityHeaders",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "tradingsite.foundation.middleware.RequestId",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tradingsite.foundation.sessions.SessionLimits",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "tradingsite.foundation.middleware.HtmxLoginRedirect",
    "tradingsite.pages.middleware.ReaderTimeZone",
    "tradingsite.foundation.middleware.FirstRun",
]

ROOT_URLCONF = "tradingsite.urls"
WSGI_APPLICATION = "tradingsite.wsgi.application"
ASGI_APPLICATION = "tradingsite.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "tradingsite.pages.context.page",
            ],
        },
    }
]

# --- Data -----------------------------------------------------------------------------------------
DATABASES: dict[str, dict[str, Any]] = {
    "default": databases.sqlite(env.env_path("TRADING_DATABASE_PATH", VAR_DIR / "db.sqlite3"))
}

REDIS_URL = env.env_str("TRADING_REDIS_URL")
CACHES: dict[str, dict[str, Any]] = {
    # Shared by all processes: the web process reads the workers' status from it (memory would show nothing).
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
    if REDIS_URL
    else {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": str(VAR_DIR / "cache"),
        "OPTIONS": {"MAX_ENTRIES": 5000},
    }
}

WORKERS = env.env_int("TRADING_WORKERS", 2, minimum=1, maximum=64)
# A replay's workers live in the time of the run they execute.
CLOCK = env.env_choice("TRADING_CLOCK", "real", ("real", "run"))
REPLAY = env.env_bool("TRADING_REPLAY", False)
TASK_TIMEOUT_S = env.env_int("TRADING_TASK_TIMEOUT_S", 120, minimum=10, maximum=3600)
Q_CLUSTER = queue.cluster(
    workers=WORKERS,
    maintenance_workers=env.env_int("TRADING_MAINTENANCE_WORKERS", 1, minimum=1, maximum=16),
    timeout_s=TASK_TIMEOUT_S,
    max_rss_mb=env.env_int("TRADING_WORKER_MAX_RSS_MB", 700, minimum=100, maximum=16384),
)

# --- Trading --------------------------------------------------------------------------------------
TRADING_FEED = env.env_choice(
    "TRADING_FEED", "simulated", ("simulated", "binance", "alpaca", "fxcm", "replay", "none")
)
MAX_TOTAL_EXPOSURE = env.env_decimal(
    "TRADING_MAX_TOTAL_EXPOSURE", Decimal(2), minimum=Decimal(0), maximum=Decimal(100)
)
TRADING_FEED_SEED = env.env_int("TRADING_FEED_SEED", 1, minimum=0, maximum=2_147_483_647)
BINANCE_URL = env.env_str("TRADING_BINANCE_URL")
ALPACA_URL = env.env_str("TRADING_ALPACA_URL")
ALPACA_KEY = env.env_str("TRADING_ALPACA_KEY")
ALPACA_SECRET = env.env_str("TRADING_ALPACA_SECRET")
# Real money at Alpaca needs this too, besides a live account on a live server.
ALPACA_PAPER = env.env_bool("TRADING_ALPACA_PAPER", True)
FXCM_FIX_HOST = env.env_str("TRADING_FXCM_FIX_HOST")
FXCM_FIX_PORT = env.env_int("TRADING_FXCM_FIX_PORT", 0, minimum=0, maximum=65535)
FXCM_FIX_SENDER = env.env_str("TRADING_FXCM_FIX_SENDER")
FXCM_FIX_TARGET = env.env_str("TRADING_FXCM_FIX_TARGET", "FXCM")
FXCM_FIX_TARGET_SUB = env.env_str("TRADING_FXCM_FIX_TARGET_SUB")
FXCM_FIX_MD_SENDER = env.env_str("TRADING_FXCM_FIX_MD_SENDER")
FXCM_FIX_MD_USER = env.env_str("TRADING_FXCM_FIX_MD_USER")
FXCM_FIX_MD_PASSWORD = env.env_str("TRADING_FXCM_FIX_MD_PASSWORD")
# As long as this file exists nothing trades, even with the database gone: `touch var/HALT`.
HALT_FILE = VAR_DIR / "HALT"
HALT = env.env_bool("TRADING_HALT", False)
CANARY_EVERY_S = env.env_int("TRADING_CANARY_S", 8, minimum=1, maximum=60)
CANARY_PATIENCE_S = env.env_int("TRADING_CANARY_PATIENCE_S", 20, minimum=2, maximum=300)
ORCHESTRATOR: dict[str, Any] = {}
# What is forgotten, and when. The value of a run is learned from four weeks: less is not possible.
RETENTION_DAYS = env.env_int("TRADING_RETENTION_DAYS", 90, minimum=30, maximum=3650)
RETENTION_QUEUE_DAYS = env.env_int("TRADING_RETENTION_QUEUE_DAYS", 7, minimum=1, maximum=365)
EQUITY_MINUTE_DAYS = env.env_int("TRADING_EQUITY_MINUTE_DAYS", 14, minimum=2, maximum=3650)
EQUITY_HOUR_DAYS = env.env_int("TRADING_EQUITY_HOUR_DAYS", 365, minimum=2, maximum=3650)

# --- Who is told ----------------------------------------------------------------------------------
NOTIFY_ALLOW = env.env_list("TRADING_NOTIFY_ALLOW")  # host:port besides ports 80 and 443 of the open internet
HEARTBEAT_URL = env.env_str("TRADING_HEARTBEAT_URL")
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.env_str("TRADING_EMAIL_FROM", "trading@localhost")
vars().update(mail.configuration(env.env_str("TRADING_EMAIL_URL")))

# --- Who may come in ------------------------------------------------------------------------------
LOGIN_URL = "pages:login"
LOGIN_REDIRECT_URL = "pages:overview"
LOGOUT_REDIRECT_URL = "pages:login"
ADMIN_PATH = env.env_str("TRADING_ADMIN_PATH", "backoffice/").strip("/") + "/"
TRUSTED_PROXIES = env.env_int("TRADING_TRUSTED_PROXIES", 0, minimum=0, maximum=5)

AUTHENTICATION_BACKENDS = ["tradingsite.foundation.backends.ProfileBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]

SESSION_IDLE = timedelta(minutes=env.env_int("TRADING_SESSION_IDLE_MIN", 30, minimum=1, maximum=1440))
SESSION_LONGEST = timedelta(hours=env.env_int("TRADING_SESSION_HOURS", 12, minimum=1, maximum=168))
SESSION_COOKIE_AGE = int(SESSION_LONGEST.total_seconds())
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_NAME = "tradingsite_session"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "tradingsite_csrf"
CSRF_FAILURE_VIEW = "tradingsite.foundation.handlers.csrf_failure"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
DATA_UPLOAD_MAX_NUMBER_FIELDS = 500
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700

# --- Language and time ----------------------------------------------------------------------------
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
USE_THOUSAND_SEPARATOR = False
LANGUAGES = [("en", "English"), ("fr", "Français")]
LANGUAGE_CODE = env.env_choice("TRADING_LANGUAGE", "en", [code for code, _name in LANGUAGES])
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
LOCALE_PATHS = [BASE_DIR / "locale"]

# --- Files the browser gets -----------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "static-collected"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "tradingsite.vendor.VendorFinder",
]
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage",
        # Public by nature: readable also when another user than the one who collected them serves them.
        "OPTIONS": {"file_permissions_mode": 0o644, "directory_permissions_mode": 0o755},
    },
}
MEDIA_ROOT = VAR_DIR / "media"

# --- API ------------------------------------------------------------------------------------------
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "tradingsite.foundation.api.auth.TokenAuthentication",
        "tradingsite.foundation.api.auth.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["tradingsite.foundation.api.permissions.RoleOrScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "tradingsite.foundation.api.openapi.ApiSchema",
    "EXCEPTION_HANDLER": "tradingsite.foundation.api.problem.handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "COERCE_DECIMAL_TO_STRING": True,
    "NUM_PROXIES": TRUSTED_PROXIES,
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Trading orchestrator API",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "PREPROCESSING_HOOKS": ["tradingsite.foundation.api.schema.only_slashed"],
    "POSTPROCESSING_HOOKS": [],
    "SCHEMA_PATH_PREFIX": "/api/",
    "SERVE_PUBLIC": True,
}

# --- Process and log ------------------------------------------------------------------------------
BIND = env.env_str("TRADING_BIND", "127.0.0.1:8000")
WEB_WORKERS = env.env_int("TRADING_WEB_WORKERS", 1, minimum=1, maximum=64)
WEB_THREADS = env.env_int("TRADING_WEB_THREADS", 4, minimum=1, maximum=64)
LOGGING = logs.configuration(
    level=env.env_choice("TRADING_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
    style=env.env_choice("TRADING_LOG_FORMAT", "text", ("text", "json")),
)
# Databases, caches and keys the process writes are its owner's business only.
os.umask(0o077)
