"""What C libraries print is kept from the log only while we say so."""

import ctypes
import subprocess
import sys

import pytest

from voicebox.audio import alsa


def complain(text: str) -> None:
    """As PortAudio does: by C's stdio."""
    ctypes.CDLL(None).perror(text.encode())


def test_c_is_quiet_and_python_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    with alsa.quiet():
        complain("hidden")
        sys.stderr.write("ours\n")
    complain("shown")
    heard = capfd.readouterr().err
    assert "hidden" not in heard
    assert "ours" in heard
    assert "shown" in heard


def test_what_is_raised_meanwhile_comes_out_and_it_is_loud_again(capfd: pytest.CaptureFixture[str]) -> None:
    for error in (OSError, ValueError):
        with pytest.raises(error), alsa.quiet():
            raise error
    complain("shown")
    assert "shown" in capfd.readouterr().err


def test_it_stays_quiet_until_the_last_of_several_has_ended(capfd: pytest.CaptureFixture[str]) -> None:
    """A call that hangs in one thread, and others beside it."""
    first, second = alsa.quiet(), alsa.quiet()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    complain("hidden")
    second.__exit__(None, None, None)
    complain("shown")
    heard = capfd.readouterr().err
    assert "hidden" not in heard
    assert "shown" in heard


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(alsa._stderr, "_loud", None)
    with alsa.quiet():
        complain("shown")
    assert "shown" in capfd.readouterr().err


MADE_ANEW = """
import ctypes
from voicebox.audio import alsa
from voicebox.audio.streams import connect

class Heap(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena a b c d e f used free keepcost".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Heap
alsa.hush()
alsa.keep_leaky_libraries()

def times(count):
    for _ in range(count):
        connect().terminate()
        alsa.forget_configuration()
    return libc.mallinfo2().used

times(3)
before = times(3)
print((times(20) - before) // 20)
"""


def test_portaudio_made_anew_takes_nothing() -> None:
    """As after each unplugging. In a process of its own, whose heap nobody else uses."""
    done = subprocess.run([sys.executable, "-c", MADE_ANEW], capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) < 4_000  # bytes each time
