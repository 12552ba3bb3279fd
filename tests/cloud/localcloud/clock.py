"""The clock of a cloud whose processes were all started with the library of `clock.c`: cloud, databases and functions.

The file that CLOCK_FILE names holds the seconds by which it is ahead of this machine's.
"""

from __future__ import annotations

import os
import struct

# Variables for these processes and their children. Others read them from cloud.json, as `clock`.
VARIABLES = ("CLOCK_FILE", "LD_PRELOAD")
FORM = "=q"


def is_own() -> bool:
    """Whether this cloud has its own clock; otherwise it uses the machine's."""
    return "CLOCK_FILE" in os.environ


def variables() -> dict[str, str]:
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}


def advance(seconds: float) -> None:
    """Moves the clock of all of its processes, by whole seconds."""
    with open(os.environ["CLOCK_FILE"], "r+b", buffering=0) as file:
        (ahead,) = struct.unpack(FORM, file.read())
        file.seek(0)
        # A single write of eight bytes: no process reads half of it.
        file.write(struct.pack(FORM, ahead + round(seconds)))
