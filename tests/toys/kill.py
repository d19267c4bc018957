"""Runs a command again and again, killing it with SIGKILL at random moments, until it finishes.

    python kill.py KILLS RUN_DIRECTORY ARGUMENT ...

Forks from a process that has imported everything, so that each try costs milliseconds, not seconds. Prints
the exit status and how many tries were killed.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch._dynamo  # noqa: F401 (what the first optimizer step imports)

from suite import execute, train  # noqa: F401
from suite.__main__ import main


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def attempt(arguments: list[str], metrics: Path, growth: float, delay: float) -> int | None:
    """The exit status, or None if it was killed, `delay` seconds after it had logged `growth` more steps."""
    before = lines(metrics)
    child = os.fork()
    if child == 0:
        sys.stdout = sys.stderr = open(os.devnull, "w")
        os._exit(main(arguments))
    while lines(metrics) - before < growth:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        before = min(before, lines(metrics))  # a resumed run drops the lines after its checkpoint
        time.sleep(0.001)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return None if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    kills, metrics, arguments = int(sys.argv[1]), Path(sys.argv[2], "metrics.jsonl"), sys.argv[3:]
    moments, killed, status = random.Random(0), 0, None
    while status is None:
        growth = moments.choice([0, 1, 2, 5, 10, 15]) if killed < kills else float("inf")
        status = attempt([*arguments, f"out={sys.argv[2]}"], metrics, growth, moments.uniform(0, 0.02))
        killed += status is None
    print(status, killed)
