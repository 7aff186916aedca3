"""Listening, answering and being interrupted: what every simulated service does alike, whatever its messages are."""

import asyncio
from dataclasses import replace

from voicebox.audio.base import PLAYBACK_RATE
from voicebox.simulator.base import Link, Reply, Setup, Voice
from voicebox.simulator.brains import Heard
from voicebox.simulator.pacing import Pace, Playout
from voicebox.simulator.turns import SpeechStarted, Turn, Turns


class Conversation:
    """One client's conversation. Audio is judged in samples, never by the clock: it may come in bursts."""

    def __init__(self, voice: Voice, setup: Setup, link: Link) -> None:
        self._voice = voice
        self._setup = setup
        self._link = link
        self._turns = Turns()
        self._playout = Playout()
        self._reply: Reply | None = None  # the newest, until it is cut
        self._sending: asyncio.Task[None] | None = None
        self._replies = 0

    async def hear(self, pcm: bytes) -> None:
        """Audio of the user: s16le mono 16 kHz, whole samples."""
        self._link.note_heard(pcm)
        for event in self._turns.feed(pcm):
            await self._on(event)

    async def stop_hearing(self) -> None:
        """No more audio comes: what was being said ends here."""
        for event in self._turns.finish():
            await self._on(event)

    async def ask(self, text: str) -> None:
        """The user writes instead of speaking."""
        await self.interrupt()
        await self._take_turn(Heard(text))

    async def tell(self, heard: Heard) -> None:
        """The user says all of this at once; returns when it has been answered."""
        self._link.note_heard(heard.pcm)
        await self._take_turn(heard)
        if self._sending is not None:
            await asyncio.wait({self._sending})

    async def _on(self, event: SpeechStarted | Turn) -> None:
        if isinstance(event, Turn):
            await self._take_turn(Heard(f"({event.seconds:.1f} s of speech)", event.pcm))
            return
        if self._setup.faults.strikes("drop_mid_utterance"):
            self._link.reset()
        else:
            await self.interrupt()

    async def _take_turn(self, heard: Heard) -> None:
        await self._voice.heard(heard.text)
        if self._setup.faults.strikes("no_reply"):
            return
        await self._stop_sending()
        answer = self._setup.brain.answer(heard)
        self._replies += 1
        self._reply = Reply(self._replies, answer.text, answer.pcm)
        self._sending = self._link.spawn(self._speak(self._reply))

    async def _speak(self, reply: Reply) -> None:
        await self._voice.reply_begins(reply)
        begun = asyncio.get_running_loop().time()
        messages = list(self._pace.schedule(reply.pcm))
        for index, (offset, pcm) in enumerate(messages):
            await _sleep_until(begun + offset)
            if index == len(messages) // 2 and await self._ends_halfway():
                return
            await self._send_audio(reply, pcm)
        await self._voice.reply_ends(reply)
        if self._setup.faults.strikes("meeting_ends"):
            await self._link.close(1000, "the meeting has ended")

    async def _send_audio(self, reply: Reply, pcm: bytes) -> None:
        reply.sent += len(pcm)
        self._playout.add(len(pcm) / 2 / PLAYBACK_RATE)
        self._link.note_reply_audio(reply.number, pcm, late=False)
        await self._voice.reply_audio(pcm)

    @property
    def _pace(self) -> Pace:
        return replace(self._setup.pace, speed=self._setup.faults.amount("slow_audio", self._setup.pace.speed))

    async def _ends_halfway(self) -> bool:
        """Do what goes wrong in the middle of replies; True if that was the end of this one."""
        faults = self._setup.faults
        if faults.strikes("drop_mid_reply"):
            self._link.reset()
            return True
        for code in (1008, 1011):
            if faults.strikes(f"close_{code}"):
                await self._link.close(code, "a fault that was asked for")
                return True
        if faults.strikes("interrupt_storm"):
            await self._storm(round(faults.amount("interrupt_storm")))
            return True
        if faults.strikes("stall_mid_reply"):
            await asyncio.sleep(faults.amount("stall_mid_reply"))
        return False

    async def _storm(self, count: int) -> None:
        self._playout.cut()
        for _ in range(count):
            await self._voice.interrupted()

    async def interrupt(self) -> None:
        """Cut the reply if any of it is still to be heard."""
        reply, busy = self._reply, self._sending is not None and not self._sending.done()
        if reply is None or not (busy or self._playout.playing):
            return
        await self._stop_sending()
        self._playout.cut()
        self._reply = None
        await self._voice.interrupted()
        if self._setup.faults.strikes("late_audio"):
            self._sending = self._link.spawn(self._send_late(reply))

    async def _stop_sending(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait({self._sending})

    async def _send_late(self, reply: Reply) -> None:
        """What was already on its way when the reply was cut: its unsent rest, or if there is none its beginning."""
        size = 2 * round(self._setup.faults.amount("late_audio") * PLAYBACK_RATE / 1000)
        begun = asyncio.get_running_loop().time()
        for offset, pcm in self._pace.schedule((reply.pcm[reply.sent :] + reply.pcm)[:size]):
            await _sleep_until(begun + offset)
            self._link.note_reply_audio(reply.number, pcm, late=True)
            await self._voice.reply_audio(pcm)


async def _sleep_until(when: float) -> None:
    await asyncio.sleep(max(0.0, when - asyncio.get_running_loop().time()))
