"""Settings, in one file, from the environment.

Every value has a safe default. `manage.py up` starts the embedded servers and tells its children their addresses
through the environment; a command typed beside a running product finds them in `.ajo/runtime.json`.
"""

from __future__ import annotations

import json
import os
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.utils.translation import gettext_lazy as _

from ajo.version import VERSION

BASE_DIR = Path(__file__).resolve().parent.parent


# --- reading the environment ---------------------------------------------------------------------------------


def envbool(name: str, default: bool) -> bool:
    value = os.environ.get(name, "")
    if value == "":
        return default
    if value.lower() in {"1", "true", "yes", "on"}:
        return True
    if value.lower() in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} is {value!r}. Set it to 1 or 0.")


def envint(name: str, default: int) -> int:
    value = os.environ.get(name, "")
    try:
        return int(value) if value else default
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {value!r}. Set it to a whole number.") from None


def envlist(name: str, default: list[str]) -> list[str]:
    value = os.environ.get(name, "")
    return [part.strip() for part in value.split(",") if part.strip()] or default


def envsecret(name: str, default: str = "") -> str:
    """A secret from NAME, or from the file that NAME_FILE points to."""
    if path := os.environ.get(f"{name}_FILE"):
        return Path(path).read_text().strip()
    return os.environ.get(name, default)


AJO_HOME = Path(os.environ.get("AJO_HOME") or BASE_DIR / ".ajo")


def runtime(key: str) -> str:
    """What the running `manage.py up` wrote about itself; nothing under pytest, which must never meet real data."""
    if "PYTEST_VERSION" in os.environ:
        return ""
    try:
        return str(json.loads((AJO_HOME / "runtime.json").read_text()).get(key) or "")
    except (OSError, ValueError):
        return ""


def stored_secret(key: str) -> str:
    try:
        return str(json.loads((AJO_HOME / "secrets.json").read_text()).get(key) or "")
    except (OSError, ValueError):
        return ""


def database(url: str) -> dict[str, Any]:
    """postgresql://user:password@host:port/name?sslmode=… as Django's dictionary."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(
            "DATABASE_URL must start with postgresql://; PostgreSQL is the only database."
        )
    options = dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": "5", **options},
    }


# --- the installation ----------------------------------------------------------------------------------------

DEBUG = envbool("AJO_DEBUG", False)
# Without a stored key (a build step, a first `manage.py check`) a throw-away one: sessions do not outlive it.
SECRET_KEY = envsecret("AJO_SECRET_KEY") or stored_secret("secret_key") or secrets.token_urlsafe(48)
SECRET_KEY_FALLBACKS = envlist("AJO_SECRET_KEY_FALLBACKS", [])
AJO_PUBLIC_URL = os.environ.get("AJO_PUBLIC_URL") or runtime("url") or "http://127.0.0.1:8000"
ALLOWED_HOSTS = envlist(
    "AJO_ALLOWED_HOSTS", ["127.0.0.1", "localhost", "[::1]", urlsplit(AJO_PUBLIC_URL).hostname or ""]
)
CSRF_TRUSTED_ORIGINS = envlist("AJO_CSRF_TRUSTED_ORIGINS", [AJO_PUBLIC_URL])

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "django_celery_beat",
    "django_vite",
    "rest_framework",
    "rest_framework_api_key",
    "axes",
    "csp",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "ajo.core",
    "profiles",
    "offers",
    "channels",
    "journeys",
    "campaigns",
    "ajo.notices",
    "ajo",
]
AUTH_USER_MODEL = "core.User"
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "ajo.core.middleware.ContentPolicyMiddleware",
    "ajo.core.middleware.TimeZoneMiddleware",
    "axes.middleware.AxesMiddleware",  # last: it turns a refused sign-in into its page
]
ROOT_URLCONF = "ajo.urls"
WSGI_APPLICATION = "ajo.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "ajo.views.product",
            ],
        },
    },
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

DATABASE_URL = (
    os.environ.get("DATABASE_URL") or runtime("database_url") or "postgresql://ajo@127.0.0.1:5432/ajo"
)
DATABASES = {"default": database(DATABASE_URL)}

# --- people --------------------------------------------------------------------------------------------------

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
# Guessing is made slow for one name from one address: a stranger who guesses does not lock its owner out elsewhere.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # the page says when one may try again, and means it
AXES_CLIENT_IP_CALLABLE = "ajo.core.sign_in.client_address"
AXES_LOCKOUT_CALLABLE = "ajo.views.locked_out"
AXES_DISABLE_ACCESS_LOG = True  # the audit trail has a line for each sign-in
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
SESSION_COOKIE_AGE = 14 * 24 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
_is_https = AJO_PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _is_https
# A proxy in front that sets X-Forwarded-Proto and adds to X-Forwarded-For. Without one, anybody could write them.
AJO_TRUST_PROXY = envbool("AJO_TRUST_PROXY", False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if AJO_TRUST_PROXY else None
SECURE_SSL_REDIRECT = (
    _is_https and AJO_TRUST_PROXY
)  # without the proxy's word every address would lead to itself
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]  # the supervisor asks from this machine
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if _is_https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _is_https
SILENCED_SYSTEM_CHECKS = ["security.W021"]  # preloading is for the owner of the whole domain to decide
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "frame-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
# Alpine, which Unfold's screens are made with, evaluates its attributes. Previews of authored messages stand in
# sandboxed frames, which inherit this policy: a message has styles of its own and pictures from anywhere.
AJO_ADMIN_CONTENT_POLICY = {
    "script-src": [SELF, UNSAFE_EVAL],
    "style-src": [SELF, UNSAFE_INLINE],
    "img-src": [SELF, "data:", "blob:", "https:"],
    "font-src": [SELF, "data:"],
}
LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = ["ajo.formats"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

# --- files ---------------------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = os.environ.get("AJO_STATIC_ROOT") or None  # only for those who serve files with another server
_DIST = BASE_DIR / "static" / "dist"  # built by `make setup`
STATICFILES_DIRS = [BASE_DIR / "static" / "client", ("dist", _DIST)]
WHITENOISE_USE_FINDERS = True  # `make run` serves without a collectstatic step
DJANGO_VITE = {"default": {"manifest_path": _DIST / "manifest.json", "static_url_prefix": "dist"}}


def is_immutable(path: str, url: str) -> bool:
    """For WhiteNoise: vite names its files by their contents."""
    return url.startswith(f"{STATIC_URL}dist/assets/")


WHITENOISE_IMMUTABLE_FILE_TEST = is_immutable

# --- Celery: settings and their reasons are in the reliability paper, section 6 --------------------------------

CELERY_BROKER_URL = os.environ.get("BROKER_URL") or runtime("broker_url") or "redis://127.0.0.1:6379/0"
CELERY_TASK_IGNORE_RESULT = True  # the truth is in PostgreSQL: no result to lose
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
# A ring need not survive, for beat rings every second. Acknowledged late it would, when the broker goes away, end the
# work in hand with the worker; so it is acknowledged before the work.
CELERY_TASK_ACKS_LATE = False
CELERY_TASK_REJECT_ON_WORKER_LOST = False  # True loops for ever on a task that kills its process
CELERY_TASK_TIME_LIMIT = 60  # must stay below the visibility timeout, or a task runs beside itself
CELERY_TASK_SOFT_TIME_LIMIT = 45
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 300,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    "socket_timeout": 5,
    "socket_connect_timeout": 1,
    "socket_keepalive": True,
    "health_check_interval": 25,
    "max_retries": 1,  # bounds how long a publish blocks while the broker is down
    "global_keyprefix": "ajo:",
}
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.1,
    "interval_max": 0.2,
}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_ETA_TASK_LIMIT = 100  # a tripwire: nobody sends ETA tasks
CELERY_WORKER_MAX_TASKS_PER_CHILD = 5000
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 400_000  # KiB
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker outlives any outage of the broker
CELERY_TIMEZONE = "UTC"
CELERY_TASK_DEFAULT_QUEUE = "tick"
CELERY_TASK_ROUTES = {
    "profiles.tasks.drain_stream": {"queue": "stream"},
    "channels.tasks.drain_email": {"queue": "send_email"},
    "campaigns.tasks.freeze_recipients": {"queue": "fanout"},
    "channels.tasks.drain_sms": {"queue": "send_sms"},
    "channels.tasks.drain_push": {"queue": "send_push"},
    "channels.tasks.drain_webhook": {"queue": "send_webhook"},
    "channels.tasks.drain_direct_mail": {"queue": "bulk"},
    "channels.tasks.close_mailings": {"queue": "bulk"},
    "ajo.core.tasks.beat_sender": {"queue": "send_email"},
    "offers.tasks.release_expired_caps": {"queue": "decide"},
    "channels.tasks.settle_offers": {"queue": "decide"},
}
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
CELERY_BEAT_SYNC_EVERY = 1  # else the last run is flushed every 180 s and lost on a kill
# Interval ticks only: "look at your table". Each is idempotent, so two beats, or none for an hour, are harmless.
CELERY_BEAT_SCHEDULE = {
    "stream": {"task": "profiles.tasks.drain_stream", "schedule": 1.0, "options": {"expires": 1.0}},
    "audiences": {"task": "profiles.tasks.keep_audiences", "schedule": 1.0, "options": {"expires": 1.0}},
    "send email": {"task": "channels.tasks.drain_email", "schedule": 1.0, "options": {"expires": 1.0}},
    "send sms": {"task": "channels.tasks.drain_sms", "schedule": 1.0, "options": {"expires": 1.0}},
    "send push": {"task": "channels.tasks.drain_push", "schedule": 1.0, "options": {"expires": 1.0}},
    "send webhook": {"task": "channels.tasks.drain_webhook", "schedule": 1.0, "options": {"expires": 1.0}},
    "send direct mail": {
        "task": "channels.tasks.drain_direct_mail",
        "schedule": 10.0,
        "options": {"expires": 10.0},
    },
    "files of direct mail": {
        "task": "channels.tasks.close_mailings",
        "schedule": 20.0,
        "options": {"expires": 20.0},
    },
    "journeys": {"task": "journeys.tasks.tick_journeys", "schedule": 1.0, "options": {"expires": 1.0}},
    "audiences let in": {
        "task": "journeys.tasks.read_audiences",
        "schedule": 1.0,
        "options": {"expires": 1.0},
    },
    "step counts": {"task": "journeys.tasks.fold_step_counts", "schedule": 5.0, "options": {"expires": 5.0}},
    "offers of messages": {
        "task": "channels.tasks.settle_offers",
        "schedule": 2.0,
        "options": {"expires": 2.0},
    },
    "expired caps": {
        "task": "offers.tasks.release_expired_caps",
        "schedule": 10.0,
        "options": {"expires": 10.0},
    },
    "message counts": {
        "task": "channels.tasks.fold_message_counts",
        "schedule": 5.0,
        "options": {"expires": 5.0},
    },
    "settle versions": {
        "task": "journeys.tasks.settle_versions",
        "schedule": 60.0,
        "options": {"expires": 60.0},
    },
    "campaigns": {"task": "campaigns.tasks.start_due_runs", "schedule": 1.0, "options": {"expires": 1.0}},
    "recipients": {"task": "campaigns.tasks.freeze_recipients", "schedule": 1.0, "options": {"expires": 1.0}},
    "settle runs": {"task": "campaigns.tasks.settle_runs", "schedule": 5.0, "options": {"expires": 5.0}},
    "heartbeat of the engine": {
        "task": "ajo.core.tasks.beat_engine",
        "schedule": 2.0,
        "options": {"expires": 2.0},
    },
    "heartbeat of the sender": {
        "task": "ajo.core.tasks.beat_sender",
        "schedule": 2.0,
        "options": {"expires": 2.0},
    },
    "partitions": {
        "task": "profiles.tasks.make_partitions",
        "schedule": 3600.0,
        "options": {"expires": 3600.0},
    },
    "old keys": {
        "task": "profiles.tasks.purge_event_keys",
        "schedule": 3600.0,
        "options": {"expires": 3600.0},
    },
    "old idempotency keys": {
        "task": "ajo.core.tasks.purge_idempotency_keys",
        "schedule": 3600.0,
        "options": {"expires": 3600.0},
    },
    "old sign-ins": {
        "task": "ajo.core.tasks.purge_sign_ins",
        "schedule": 3600.0,
        "options": {"expires": 3600.0},
    },
    "old decisions": {
        "task": "offers.tasks.forget_decisions",
        "schedule": 3600.0,
        "options": {"expires": 3600.0},
    },
    "old decisions of messages": {
        "task": "channels.tasks.forget_shown_offers",
        "schedule": 3600.0,
        "options": {"expires": 3600.0},
    },
}

# --- the product ---------------------------------------------------------------------------------------------

AJO_BRAND_TIME_ZONE = os.environ.get("AJO_BRAND_TIME_ZONE", "UTC")
AJO_INGEST_EVENT_BYTES = 32 * 1024  # Segment's documented limits
AJO_INGEST_BODY_BYTES = 500 * 1024
AJO_INGEST_MAX_EVENT_TYPES = envint(
    "AJO_INGEST_MAX_EVENT_TYPES", 10_000
)  # write keys are public: names are bounded
AJO_INGEST_QUEUE = envint(
    "AJO_INGEST_QUEUE", 20_000
)  # events that may wait in one process before it answers 429
AJO_EVENT_KEY_DAYS = max(7, envint("AJO_EVENT_KEY_DAYS", 14))  # how long a repeated message id is recognised
# Links of offers in messages lead on for as long, and a message may hold a cap for thirty days.
AJO_DECISION_DAYS = max(60, envint("AJO_DECISION_DAYS", 365))
AJO_MAX_HOPS = 5  # a reaction to a reaction … stops here
AJO_SEND_LEASE_SECONDS = envint("AJO_SEND_LEASE_SECONDS", 120)  # at least 3 × the provider's time-out
AJO_SEND_RESERVATION_SECONDS = envint("AJO_SEND_RESERVATION_SECONDS", 120)
AJO_CAMPAIGN_PIECE = envint(
    "AJO_CAMPAIGN_PIECE", 10_000
)  # members in one statement: fast, and short enough that a pause waits a second at most
AJO_MAILBOX_URL = os.environ.get("AJO_MAILBOX_URL") or runtime("mailbox_url")
AJO_MAILBOX_TOKEN = envsecret("AJO_MAILBOX_TOKEN") or stored_secret("mailbox_token")
AJO_FCM_URL = os.environ.get("AJO_FCM_URL") or "https://fcm.googleapis.com"
# Browsers name the address of their push service, so only these are called; one that begins with a dot stands for all
# names that end so.
AJO_WEB_PUSH_HOSTS = envlist(
    "AJO_WEB_PUSH_HOSTS",
    ["fcm.googleapis.com", ".push.services.mozilla.com", ".push.apple.com", ".notify.windows.com"],
)
AJO_MAILBOX_SMTP = os.environ.get("AJO_MAILBOX_SMTP") or runtime("mailbox_smtp")
# Without a login only while the product answers this machine alone.
AJO_MAILBOX_OPEN = envbool(
    "AJO_MAILBOX_OPEN", urlsplit(AJO_PUBLIC_URL).hostname in {"127.0.0.1", "localhost", "::1"}
)
AJO_DIRECT_MAIL_FOLDER = os.environ.get("AJO_DIRECT_MAIL_FOLDER") or AJO_HOME / "direct-mail"
# Addresses that people author lead to public hosts only, and to these: names, each with a port or without.
AJO_ALLOWED_PRIVATE_HOSTS = envlist(
    "AJO_ALLOWED_PRIVATE_HOSTS",
    [urlsplit(AJO_MAILBOX_URL).netloc] if AJO_MAILBOX_OPEN and AJO_MAILBOX_URL else [],
)
# Where the services are. Only the operator says so: a configuration names accounts, never addresses.
AJO_MAILGUN_URL = os.environ.get("AJO_MAILGUN_URL") or "https://api.mailgun.net/v3"
AJO_RESEND_URL = os.environ.get("AJO_RESEND_URL") or "https://api.resend.com"
AJO_TWILIO_URL = os.environ.get("AJO_TWILIO_URL") or "https://api.twilio.com"

REST_FRAMEWORK = {
    # The key first: its scheme is named in the answer 401.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "ajo.core.rest.authentication.ApiKeyAuthentication",
        "ajo.core.rest.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["ajo.core.rest.permissions.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["ajo.core.rest.parsing.StrictJsonParser"],
    "DEFAULT_SCHEMA_CLASS": "ajo.core.rest.schema.DoorSchema",
    "DEFAULT_METADATA_CLASS": None,  # the schema describes the calls; OPTIONS is answered with 405
    "EXCEPTION_HANDLER": "ajo.core.rest.problems.handle",
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Journey optimizer",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,  # else a body's texts could be empty by the description
    "ENUM_NAME_OVERRIDES": {
        "JourneyVersionState": "journeys.models.JourneyVersion.State",
        "ContentVersionState": "channels.models.ContentVersion.State",
        "FindingLevel": "channels.api.content_shapes.FINDING_LEVELS",
        "CheckLevel": "channels.api.content_shapes.CHECK_LEVELS",
        "InstanceState": "journeys.api.serializers.INSTANCE_STATES",
        "MessageState": "channels.api.message_shapes.MESSAGE_STATES",
        "MessageClass": "channels.api.message_shapes.MESSAGE_CLASSES",
        "CauseKind": "channels.api.message_shapes.CAUSE_KINDS",
        "ConsentState": "profiles.api.serializers.CONSENT_STATES",
        "Channel": "profiles.api.serializers.CHANNELS",
        "AudienceKind": "profiles.models.Audience.Kind",
        "CollectionKind": "offers.models.Collection.Kind",
        "AudienceState": "profiles.models.Audience.State",
        "CampaignKind": "campaigns.models.Campaign.Kind",
        "CampaignState": "campaigns.models.Campaign.State",
        "CampaignRunState": "campaigns.models.CampaignRun.State",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "ajo.api.ingest_schema.add_ingest",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}
UNFOLD = {
    "SITE_TITLE": _("Journey optimizer"),
    "SITE_HEADER": _("Journey optimizer"),
    "SITE_URL": "/",
    "SITE_SYMBOL": "route",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("favicon.svg")}
    ],
    "SHOW_HISTORY": True,
    "COLORS": {  # the teal of our own pages; 600 carries text on white, so it must stay dark
        "primary": {
            "50": "oklch(97.5% .013 210)",
            "100": "oklch(94% .03 210)",
            "200": "oklch(88% .06 210)",
            "300": "oklch(80% .09 210)",
            "400": "oklch(70% .11 211)",
            "500": "oklch(57% .1 212)",
            "600": "oklch(48% .085 213)",
            "700": "oklch(42% .075 214)",
            "800": "oklch(36% .062 215)",
            "900": "oklch(31% .05 216)",
            "950": "oklch(23% .04 218)",
        }
    },
    "STYLES": [lambda request: static("shell.css")],
    "SCRIPTS": [lambda request: static("shell.js")],
    "LOGIN": {"form": "ajo.notices.forms.SignInForm"},
    "DASHBOARD_CALLBACK": "ajo.shell.home",
    "ACCOUNT": {"navigation": "ajo.shell.account_links"},
    "COMMAND": {"search_callback": "ajo.shell.commands"},
    "SIDEBAR": {"show_search": True, "command_search": True, "navigation": "ajo.shell.navigation"},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        # While the product starts, its health page says so to whoever asks; that is its job and no error.
        "not_health": {
            "()": "django.utils.log.CallbackFilter",
            "callback": lambda record: getattr(getattr(record, "request", None), "path", "") != "/healthz",
        }
    },
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": os.environ.get("AJO_LOG_LEVEL", "INFO")},
    "loggers": {
        "django.request": {"filters": ["not_health"]},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
        "urllib3": {"level": "INFO"},  # at DEBUG it writes down addresses, which may hold secrets
    },
}
