"""Ctrl-C in the demo stops the servers, also when it comes twice."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

PROGRAM = """
import time
from demo.run import _interruptible
with _interruptible():
    try:
        print("up", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("stopping", flush=True)
        time.sleep(1)
        print("stopped", flush=True)
"""


def test_a_second_interrupt_does_not_cut_the_stopping_short() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "stopped\n"
        assert process.wait(30) == 0
