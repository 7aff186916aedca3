"""A conversation in real time: the daemon a process of its own, a simulated service in ours, PulseAudio between."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from voicebox.bench import _process, _rig
from voicebox.bench.wake import noise

_CONFIG = 'service = "lira"\naudio.duplex = "full"\nconversation.follow_up_s = 1.0\n'


class Talk:
    """``with Talk(folder, server) as talk``: full duplex, with echo canceller."""

    def __init__(self, folder: Path, server: Any) -> None:  # noqa: ANN401  # the tests' PulseServer
        self._folder = folder
        self._server = server

    def __enter__(self) -> Self:
        vendors, speech = _rig.vendors(), _rig.speech()
        assert vendors is not None  # noqa: S101  # its callers have asked
        assert speech is not None  # noqa: S101
        self._service = vendors.Lira("answer")
        self._service.__enter__()
        self._running = _process.daemon(
            self._folder, self._server.env, _CONFIG + self._service.config, self._service.secrets
        )
        self._box = self._running.__enter__()
        self._answer = speech.say("The train to the airport leaves every fifteen minutes from platform four. " * 3)
        lead = noise(20, -66, 0, 1).reshape(-1)
        self._question = np.concatenate([lead, speech.say("hey jarvis, what time is it?", "flite:awb")])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._running.__exit__(kind, error, tb)
        self._service.__exit__(kind, error, tb)

    @property
    def pid(self) -> int:
        pid: int = self._box.process.pid
        return pid

    def ask(self) -> None:
        """Returns when it speaks, which it will for some twelve seconds."""
        self._service.will_read(self._answer)
        self._server.say(self._question)
        self._box.expect("→ speaking .ReplyAudio", timeout=30)

    def end(self) -> None:
        """Until nobody talks."""
        self._box.expect("→ idle", timeout=60)
