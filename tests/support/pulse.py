"""A private PulseAudio daemon whose null sinks are the speaker and the microphone of a box without sound cards.

The box plays into the sink ``speaker`` (we record its monitor) and captures the monitor of the sink ``mic`` (we play
into it). Everything runs at the stream's own rate and at full volume, so what goes through arrives bit-exact.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pytest
from numpy.typing import NDArray

SPEAKER_RATE = 24_000
MIC_RATE = 16_000
_ASOUND = """</usr/share/alsa/alsa.conf>
pcm.box_speaker {{ type pulse server "{server}" device "speaker" hint.description "box speaker" }}
pcm.box_mic {{ type pulse server "{server}" device "mic.monitor" hint.description "box microphone" }}
pcm.!default {{ type asym playback.pcm "box_speaker" capture.pcm "box_mic" }}
ctl.!default {{ type pulse server "{server}" }}
"""
# A host that stands still is no reason to be killed; and blocks shared through memory are lost track of by PulseAudio
# when clients come and go (its issue 824), which it says in its log a dozen times per test run.
_DAEMON = """rlimit-rttime = -1
enable-shm = no
"""
_RATES = {"speaker": SPEAKER_RATE, "mic": MIC_RATE}


def _sink(name: str) -> tuple[str, str]:
    """(module, its options)"""
    return "module-null-sink", f"norewinds=1 sink_name={name} format=s16le channels=1 rate={_RATES[name]}"


def available() -> bool:
    """Whether this machine has the programs (Debian: pulseaudio, pulseaudio-utils, libasound2-plugins)."""
    return all(shutil.which(program) for program in ("pulseaudio", "parec", "pacat", "pactl"))


class PulseServer:
    """``with PulseServer() as pulse:`` – give ``pulse.env`` to the process that is to hear and speak through it."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="pulse-"))
        socket = self.directory / "native"
        self.server = f"unix:{socket}"
        self._log = self.directory / "log"
        config = self.directory / "asound.conf"
        config.write_text(_ASOUND.format(server=self.server), encoding="utf-8")
        self.env = {
            "PULSE_SERVER": self.server,
            "PULSE_RUNTIME_PATH": str(self.directory),
            "PULSE_COOKIE": str(self.directory / "cookie"),
            "ALSA_CONFIG_PATH": str(config),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self) -> None:
        """Start the daemon (again) and wait until it answers."""
        modules = [
            f"module-native-protocol-unix auth-anonymous=1 socket={self.directory / 'native'}",
            *(f"{kind} {options}" for kind, options in map(_sink, _RATES)),
        ]
        command = ["setpriv", "--pdeathsig", "KILL", "--"]  # it ends with us, even if we are killed
        command += ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--realtime=yes"]
        command += ["--disallow-exit", "--log-level=error", *(f"--load={module}" for module in modules)]
        settings = self.directory / "daemon.conf"
        settings.write_text(_DAEMON, encoding="utf-8")
        environment = {**os.environ, **self.env, "HOME": str(self.directory), "PULSE_CONFIG": str(settings)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, env=environment, stderr=log)
        self._await_answer()
        self.control("set-default-sink", "speaker")  # Debian's ALSA configuration makes PulseAudio's default ALSA's
        self.control("set-default-source", "mic.monitor")

    def _await_answer(self) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if self.control("info").returncode == 0:
                return
            time.sleep(0.05)  # between two questions; the deadline decides
        raise RuntimeError(f"pulseaudio did not answer within 10 s; {self.death() or 'it runs'}")

    def death(self) -> str | None:
        """How the daemon ended that nobody stopped, and what it said last. None while it runs."""
        status = self._process.poll() if self._process else None
        if status is None:
            return None
        return f"pulseaudio ended with {status}: {self._log.read_text('utf-8', 'replace')[-1_000:]}"

    def stop(self) -> None:
        """End the daemon at once, as a crash would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
            (self.directory / "native").unlink(missing_ok=True)

    def control(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run ``pactl`` against this daemon."""
        return subprocess.run(
            ["pactl", *arguments], env={**os.environ, **self.env}, capture_output=True, check=False, timeout=10
        )

    def unplug(self) -> None:
        """Take microphone and speaker away. Both: of one alone PulseAudio would move the streams to the other."""
        self.control("unload-module", "module-null-sink")

    def plug_in(self) -> None:
        """Bring them back."""
        for kind, options in map(_sink, _RATES):
            self.control("load-module", kind, *options.split())

    def suspend(self) -> None:
        """The daemon stops where it is: whoever asks it anything waits."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def records(self, source: str) -> bool:
        """Whether some program has this source open."""
        sources = [line.split("\t") for line in self._listed("sources")]
        number = next((fields[0] for fields in sources if fields[1] == source), None)
        return any(line.split("\t")[1] == number for line in self._listed("source-outputs"))

    def _listed(self, what: str) -> list[str]:
        return self.control("list", "short", what).stdout.decode().splitlines()

    @contextmanager
    def acoustic_loop(self, delay: float, decibels: float) -> Iterator[None]:
        """Meanwhile the microphone hears the speaker: after about ``delay`` seconds, and so much louder."""
        options = "source=speaker.monitor sink=mic source_dont_move=true sink_dont_move=true adjust_time=0"
        loaded = self.control("load-module", "module-loopback", *options.split(), f"latency_msec={delay * 1000:.0f}")
        assert loaded.returncode == 0, loaded.stderr
        streams = [line.split("\t") for line in self._listed("sink-inputs")]
        number = next(fields[0] for fields in streams if "module-loopback" in fields[3])
        self.control("set-sink-input-volume", number, f"{decibels}dB")
        try:
            yield
        finally:
            self.control("unload-module", loaded.stdout.decode().strip())

    def say(self, pcm: NDArray[np.int16]) -> None:
        """Play 16 kHz speech into the microphone; returns when PulseAudio has played it all."""
        self._pacat("mic", MIC_RATE, pcm)

    def _pacat(self, sink: str, rate: int, pcm: NDArray[np.int16]) -> None:
        command = ["pacat", "--raw", f"--device={sink}", f"--rate={rate}", "--channels=1", "--format=s16le"]
        subprocess.run(
            command, input=pcm.tobytes(), env={**os.environ, **self.env}, check=True, timeout=60 + pcm.size / rate
        )

    def record(self) -> "Recording":
        """Begin to record what leaves the speaker, at 24 kHz."""
        return Recording({**os.environ, **self.env})


class Recording:
    """What left the speaker. Use as a context manager; ``samples`` and ``until`` may be read while it runs."""

    def __init__(self, env: dict[str, str]) -> None:
        command = ["parec", "--raw", "--device=speaker.monitor", f"--rate={SPEAKER_RATE}", "--channels=1"]
        self._process = subprocess.Popen(
            [*command, "--format=s16le", "--latency-msec=5"], env=env, stdout=subprocess.PIPE
        )
        self._chunks: list[bytes] = []
        self._origin = float("inf")  # monotonic time of the first sample: by the chunk that came least late
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self.wait_for(0, timeout=10)
        except TimeoutError:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()
        self._thread.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        length = 0
        while data := os.read(self._process.stdout.fileno(), 65536):
            now = time.monotonic()
            with self._changed:
                self._chunks.append(data)
                length += len(data) // 2
                self._origin = min(self._origin, now - length / SPEAKER_RATE)
                self._changed.notify_all()

    @property
    def samples(self) -> NDArray[np.int16]:
        with self._changed:
            return np.frombuffer(b"".join(self._chunks), dtype=np.int16)

    def index(self, moment: float) -> int:
        """The sample that was leaving the speaker at this ``time.monotonic()``."""
        return round((moment - self._origin) * SPEAKER_RATE)

    def wait_for(self, samples: int, *, timeout: float) -> None:
        """Until more than this many samples are recorded. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: sum(map(len, self._chunks)) // 2 > samples, timeout):
                raise TimeoutError(f"recorded {sum(map(len, self._chunks)) // 2} samples, waited for {samples}")


@contextmanager
def serving(*, here: bool = False) -> Iterator[PulseServer]:
    """One for a test, which is skipped where the programs are missing; ``here``: for this process to speak through."""
    if not available():
        pytest.skip("needs PulseAudio: apt-get install pulseaudio pulseaudio-utils libasound2-plugins")
    with PulseServer() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.env.items() if here else ():
            patch.setenv(name, value)
        yield server
        if died := server.death():
            pytest.fail(died)
