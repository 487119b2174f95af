"""What uWSGI 2.0 makes of an option by its name: tables taken from core/uwsgi.c and the plugins' option arrays."""

from __future__ import annotations

import re


def _names(*lines: str) -> frozenset[str]:
    return frozenset(name for line in lines for name in line.split())


ENDS = frozenset(("end", "endfor", "end-for", "endif", "end-if"))
LOGIC = _names(
    "for for-glob for-times for-readline if-opt if-not-opt if-env if-not-env ifenv if-reload if-not-reload",
    "if-hostname if-not-hostname if-hostname-match if-not-hostname-match if-exists if-not-exists ifexists if-plugin",
    "if-not-plugin ifplugin if-file if-not-file if-dir if-not-dir ifdir if-directory",
)
# The conditions whose `%(_)` is the path they ask for.
ABOUT_A_PATH = _names(
    "if-exists if-not-exists ifexists if-file if-not-file if-dir if-not-dir ifdir if-directory",
)
OTHER_FORMATS = _names(
    "xml xmlconfig yaml yml json js config ldap sqlite sqlite3 ini-paste ini-paste-logged",
)
SETS = frozenset(("set", "set-ph", "set-placeholder"))
DECLARES = frozenset(("declare-option", "declare-option2"))

# UWSGI_OPT_IMMEDIATE: taken the moment they are read, so their values are never expanded.
IMMEDIATE = (
    ENDS
    | LOGIC
    | SETS
    | OTHER_FORMATS
    | _names(
        "ini include autoload blacklist declare-option early-envdir end-blacklist end-whitelist exit fallback-config",
        "flock flock2 flock-wait flock-wait2 immediate-gid immediate-uid iprint listen need-plugin need-plugins plugin",
        "plugin-dir plugins plugins-dir pcre-jit resolve spooler-processes strict umask whitelist",
    )
)

# UWSGI_OPT_MASTER, UWSGI_OPT_LOG_MASTER: naming one of them turns the master on, whatever its value.
NEEDS_MASTER = _names(
    "alarm alarm-backlog alarm-fd alarm-listen-queue alarm-log alarm-lq alarm-metric alarm-segfault",
    "attach-control-daemon attach-daemon attach-daemon2 backlog-alarm brutal-reload-on-fd cache-store cache-udp-node",
    "cache-udp-server carbon cheap cheaper cheaper-algo cheaper-initial cheaper-overload cheaper-rss-limit-hard",
    "cheaper-rss-limit-soft cheaper-step check-interval check-mount check-mountpoint cron cron-curl cron-curl-legion",
    "cron-legion cron2 curl-cron curl-cron-legion daemons-honour-stdin enable-metrics evil-reload-on-as",
    "evil-reload-on-rss exception-handler farm forkbomb-delay fs-brutal-reload fs-reload fs-signal idle legion",
    "legion-attach-daemon legion-cron legion-cron-curl legion-curl-cron legion-death legion-death-on-lord-error",
    "legion-freq legion-join legion-lord legion-mcast legion-node legion-node-joined legion-node-left legion-quorum",
    "legion-scroll legion-setup legion-skew-tolerance legion-smart-attach-daemon legion-smart-attach-daemon2",
    "legion-tolerance legion-unlord listen-queue-alarm log-alarm log-drain log-encoder log-filter log-master",
    "log-maxsize log-req-encoder log-req-route log-route log-socket log-syslog log-zeromq logger logger-req lq-alarm",
    "master-fifo metric metric-alarm metric-dir metric-dir-restore metric-threshold metrics-dir metrics-dir-restore",
    "metrics-no-cores mount-check mountpoint-check mule mule-msg-size mules multicast not-alarm-log not-log-alarm",
    "notify-socket py-auto-reload py-auto-reload-ignore py-autoreload py-tracebacker python-auto-reload",
    "python-autoreload queue-store rbtimer reload-on-fd req-logger rrdtool segfault-alarm setns-socket signal-rbtimer",
    "signal-timer smart-attach-daemon smart-attach-daemon2 spooler spooler-external ssl-session-use-cache",
    "ssl-sessions-use-cache static-cache-paths static-cache-paths-name stats stats-http stats-min stats-minified",
    "stats-no-cores stats-no-metrics stats-push stats-pusher-default-freq stats-pushers-default-freq stats-server",
    "subscribe subscribe-to subscribe-with-modifier1 subscribe2 subscription-notify-socket",
    "subscriptions-credentials-check subscriptions-sign-check subscriptions-sign-check-tolerance",
    "subscriptions-sign-skip-uid threaded-logger timer touch-chain-reload touch-exec touch-logreopen touch-logrotate",
    "touch-mules-reload touch-reload touch-signal touch-spoolers-reload touch-workers-reload udp unique-cron",
    "unique-cron-legion unique-legion-cron zerg-server",
)

# Every option that binds an address for clients; those of TLS are followed by certificate and key.
SOCKETS = _names(
    "socket uwsgi-socket suwsgi-socket ssl-socket http-socket http11-socket https-socket fastcgi-socket",
    "fastcgi-nph-socket scgi-socket scgi-nph-socket raw-socket puwsgi-socket shared-socket undeferred-shared-socket",
    "http https https2 http-to-https fastrouter rawrouter sslrouter",
)

# Names of one setting, of which the last one written counts (uwsgi_opt_set_int, _str, _true).
ALIASES = (
    ("processes", "workers"),
    ("stats", "stats-server"),
    ("module", "wsgi"),
    ("wsgi-file", "file"),
    ("home", "virtualenv", "venv", "pyhome"),
    ("chmod-socket", "chmod"),
    *(
        (name,)
        for name in _names(
            "master threads cheaper harakiri max-requests max-requests-delta min-worker-lifetime worker-reload-mercy",
            "need-app die-on-term no-orphans vacuum lazy lazy-apps logto logto2 daemonize daemonize2 pidfile pidfile2",
            "safe-pidfile safe-pidfile2 chdir callable spooler-processes",
        )
    ),
)
LAST_COUNTS = {name: names for names in ALIASES for name in names}


def truth(value: str) -> bool:
    """uwsgi_opt_true: everything but these words is true, also nothing at all."""
    return value.lower() not in ("false", "off", "no", "0")


def number(value: str) -> int:
    """C's atoi(): the digits in front, 0 without any."""
    found = re.match(r"\s*([+-]?\d{1,18})", value, re.ASCII)
    return int(found[1]) if found else 0
