"""A small Django site that leaks on demand: /leak/5 keeps five MiB for ever."""

import os
import time

from django.conf import settings

settings.configure(
    DEBUG=False,
    SECRET_KEY=os.environ.get("SHOP_SECRET", "for tests only"),
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="shop",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],  # tells the length: half an answer is no answer
)

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402

LEAKED: list[bytes] = []


def index(request: HttpRequest) -> HttpResponse:  # noqa: ARG001
    """Which process answers."""
    return HttpResponse(f"pid {os.getpid()}")


def leak(request: HttpRequest, mib: int) -> HttpResponse:  # noqa: ARG001
    """Keep some memory, really written."""
    LEAKED.append(os.urandom(1 << 20) * mib)
    return HttpResponse(f"pid {os.getpid()}")


def slow(request: HttpRequest, seconds: int) -> HttpResponse:  # noqa: ARG001
    """Stay busy."""
    time.sleep(seconds)
    return HttpResponse(f"pid {os.getpid()}")


urlpatterns = [path("", index), path("leak/<int:mib>", leak), path("slow/<int:seconds>", slow)]
application = get_wsgi_application()
