"""How loud the box is: kept through restarts, set on the card's own mixer where it has one, else by the speaker."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from voicebox import statefile
from voicebox.audio.base import Speaker
from voicebox.audio.mixer import AUTO, Control, Mixer
from voicebox.errors import DeviceError, VoiceboxError

_log = logging.getLogger(__name__)

LOUDEST = 100
SOFTWARE = "software"


class Volume:
    """``device`` tells the ALSA device that has the mixer, None while there is none; ``mixer`` None: use none ever."""

    def __init__(self, path: Path, speaker: Speaker, mixer: Mixer | None, device: Callable[[], str | None]) -> None:
        self._path = path
        self._speaker = speaker
        self._mixer = mixer
        self._device = device
        self._kept = _load(path)  # what stands in the file
        self._wanted = self._kept  # None: nobody has ever set it
        self._found = LOUDEST  # what it is without that
        self._turning = asyncio.Lock()
        self._opened = asyncio.Event()
        self._complaint = ""
        self.control = SOFTWARE
        """What is turned: a control of the card's mixer, or "software"."""
        self.observers: list[Callable[[int], None]] = []
        """Are told the level whenever it may have changed."""
        speaker.set_volume(self.level / LOUDEST)

    @property
    def level(self) -> int:
        """From 0 to 100."""
        return self._found if self._wanted is None else self._wanted

    async def run(self) -> None:
        """Put the card's mixer right whenever the speaker has been opened: a card that was unplugged forgets."""
        while True:
            await self._opened.wait()
            self._opened.clear()
            async with self._turning:
                await self._turn()

    def speaker_ready(self) -> None:
        """The speaker has been opened (again)."""
        self._opened.set()

    async def set(self, level: int) -> None:
        """Raises VoiceboxError if the level is out of range. A mixer that fails is logged, and done without."""
        if not 0 <= level <= LOUDEST:
            raise VoiceboxError(f"the volume goes from 0 to {LOUDEST}: {level} is beyond that")
        self._wanted = level
        async with self._turning:  # whoever waited finds the newest level
            await self._turn()
            await self._keep()

    async def change(self, by: int) -> None:
        """Louder or softer, as far as it goes."""
        await self.set(max(0, min(LOUDEST, self.level + by)))

    async def _turn(self) -> None:
        """Make what is heard what ``level`` says."""
        try:
            control = await self._turn_mixer()
            self._complaint = ""
        except DeviceError as error:
            control = None
            self._complain(str(error))
        self.control = control.name if control else SOFTWARE
        silent = self.level == 0  # the lowest step of many mixers is not silence
        self._speaker.set_volume(1.0 if control and not silent else self.level / LOUDEST)
        for observer in self.observers:
            observer(self.level)

    async def _turn_mixer(self) -> Control | None:
        device = self._device()
        if self._mixer is None or device is None:
            return None
        control = await self._mixer.find(device)
        if self._wanted is None:
            self._found = control.percent  # as the card's owner left it
        else:
            await self._mixer.set(device, control, self.level)
        return control

    async def _keep(self) -> None:
        level = self.level
        if level != self._kept:
            loop = asyncio.get_running_loop()
            written = await loop.run_in_executor(None, statefile.write, self._path, f"{level}\n")
            self._kept = level if written else None

    def _complain(self, why: str) -> None:
        """Once for each reason. That a card has no mixer is nothing to complain of, unless one was asked for."""
        asked_for = self._mixer is not None and self._mixer.wanted != AUTO
        if why != self._complaint:
            self._complaint = why
            _log.log(logging.WARNING if asked_for else logging.INFO, "the volume is set by software: %s", why)


def _load(path: Path) -> int | None:
    """None where nothing is kept, or it cannot be used."""
    text = statefile.read(path).strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= LOUDEST):
        _log.warning("%s holds no volume and is not used: %.20r", path, text)
        return None
    return int(text)
