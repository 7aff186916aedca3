"""S69: too little memory or processor for a daemon as a process of its own, where the kernel has control groups."""

import signal
import time
from pathlib import Path

from tests.support.cgroup import limited, throttled
from tests.support.daemon import Daemon

WAV = {"VOICEBOX_AUDIO__BACKEND": "wav"}
A_PAGE = 4096
STARVED = 30
"""Tenths of a second; the wake word drops to live when it is two seconds behind."""


def test_s69_killed_for_its_memory(tmp_path: Path) -> None:
    """The kernel ends it without a word, in the midst of a reload; the next start finds nothing in its way, and what
    was kept."""
    with Daemon(tmp_path, "wake.enabled = false\n", environ=WAV) as box:
        box.ready()
        box.ask("mute")
        with limited("memory", A_PAGE, box.process.pid):
            box.reload()
            assert box.wait(15) == -signal.SIGKILL
    with Daemon(tmp_path, "wake.enabled = false\n", environ=WAV) as box:
        box.ready()
        assert box.ask("status")["muted"] is True
        box.terminate()
        assert box.wait(15) == 0


def test_s69_too_little_processor(tmp_path: Path) -> None:
    """A fiftieth of one, with the wake networks at work: it hears nothing that was not said, and goes on."""
    with Daemon(tmp_path, "", environ=WAV) as box:
        box.ready()
        with limited("cpu", 2_000, box.process.pid) as group:
            while throttled(group) < STARVED:
                time.sleep(0.05)  # nobody says when
        status = box.ask("status")
        assert (status["phase"], status["fault"]) == ("idle", None)
        assert not box.said("^WakeDetected")
        box.terminate()
        assert box.wait(15) == 0
