"""The same site for Daphne."""

import shop  # noqa: F401 - configures Django
from django.core.asgi import get_asgi_application

application = get_asgi_application()
