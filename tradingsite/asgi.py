"""ASGI entry point, for servers that stream (`gunicorn -k asgi tradingsite.asgi:application`)."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings.dev")

application = get_asgi_application()
