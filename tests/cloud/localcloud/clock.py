"""The clock of a cloud whose processes (cloud, databases, functions) all started with the library of `clock.c`.

The file that CLOCK_FILE names has the seconds by which this clock is ahead of the machine's.
"""

from __future__ import annotations

import os
import struct

# Variables of these processes and their children. Other processes read them from cloud.json, as `clock`.
VARIABLES = ("CLOCK_FILE", "LD_PRELOAD")
FORM = "=q"


def is_own() -> bool:
    """True if this cloud has its own clock, false if it uses the machine's."""
    return "CLOCK_FILE" in os.environ


def variables() -> dict[str, str]:
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}


def advance(seconds: float) -> None:
    """Advances the clock of all its processes, by whole seconds."""
    with open(os.environ["CLOCK_FILE"], "r+b", buffering=0) as file:
        (ahead,) = struct.unpack(FORM, file.read())
        file.seek(0)
        # A single write of eight bytes: no process reads half of it.
        file.write(struct.pack(FORM, ahead + round(seconds)))
