"""All benchmarks, or those that are named: python -m bench [engine] [replay] [sockets] [idle] [gain]."""

from __future__ import annotations

import sys

from bench.engine import print_passes, print_replay
from bench.gain import print_gains
from bench.idle import print_idle
from bench.sockets import print_sockets

BENCHES = {
    "engine": print_passes,
    "replay": print_replay,
    "sockets": print_sockets,
    "idle": print_idle,
    "gain": print_gains,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or BENCHES:
        BENCHES[name]()
