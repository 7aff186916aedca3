"""The core with the rooms it commands played by a model: timers, a speaker that keeps its promises, and what must
always hold. Immutable, so that a test can also walk every state there is."""

from dataclasses import dataclass, field, replace

from voicebox.core.commands import (
    Capture,
    CloseSession,
    Command,
    Duck,
    FinishReply,
    Flush,
    Hold,
    OpenSession,
    Play,
    Resume,
    SetTimer,
)
from voicebox.core.events import (
    ButtonPressed,
    Device,
    Event,
    Source,
    SpeakerDrained,
    TextAsked,
    Timer,
    TimerExpired,
    WakeDetected,
)
from voicebox.core.state import LASTING, Link, Phase, Policy, State
from voicebox.core.transitions import rule_for, step


@dataclass(frozen=True)
class Speaker:
    """What audio/base.py promises: replies in order, an end reported once it is heard, nothing of what was flushed."""

    queue: tuple[tuple[int, bool], ...] = ()  # (reply id, whether this is its end rather than sound of it)
    floor: int = 0
    held: bool = False
    ducked: bool = False

    def play(self, reply_id: int) -> "Speaker":
        assert reply_id > self.floor, "dead audio is played"
        rest = tuple(item for item in self.queue if item != (reply_id, True))  # an end that was none after all
        return self if rest[-1:] == ((reply_id, False),) else replace(self, queue=(*rest, (reply_id, False)))

    def finish(self, reply_id: int) -> "Speaker":
        if reply_id <= self.floor or (reply_id, True) in self.queue:
            return self
        return replace(self, queue=(*self.queue, (reply_id, True)))

    def flush(self, floor: int) -> "Speaker":
        living = tuple(item for item in self.queue if item[0] > floor)
        return replace(self, queue=living, floor=max(floor, self.floor), held=False)

    def told(self, command: Command) -> "Speaker":
        match command:
            case Play(reply_id=reply_id):
                return self.play(reply_id)
            case FinishReply(reply_id=reply_id):
                return self.finish(reply_id)
            case Flush(floor=floor):
                return self.flush(floor)
            case Hold() | Resume():
                return replace(self, held=isinstance(command, Hold))
            case Duck(on=on):
                return replace(self, ducked=on)
        return self

    def play_on(self) -> tuple["Speaker", int | None]:
        """Play up to the next end and report it; None if there is no end in what is queued, or it is held."""
        if self.held:
            return self, None
        for index, (reply_id, is_end) in enumerate(self.queue):
            if is_end:
                return replace(self, queue=self.queue[index + 1 :]), reply_id
        return replace(self, queue=()), None


@dataclass(frozen=True)
class Model:
    state: State = field(default_factory=State)
    speaker: Speaker = Speaker()
    timers: frozenset[Timer] = frozenset()
    session_wanted: bool = False
    captures: bool = True

    @staticmethod
    def of(policy: Policy) -> "Model":
        return Model(State(policy))

    def happens(self, event: Event) -> "Model":
        """The model after ``event``; raises AssertionError if anything is as it must never be."""
        before = self
        if isinstance(event, TimerExpired):
            before = replace(self, timers=self.timers - {event.timer})
        state, commands = step(self.state, event)
        after = before._perform(state, commands)
        _check_step(self.state, event, state, commands)
        after.check()
        return after

    def _perform(self, state: State, commands: tuple[Command, ...]) -> "Model":
        speaker, timers, wanted, captures = self.speaker, self.timers, self.session_wanted, self.captures
        for command in commands:
            speaker = speaker.told(command)
            match command:
                case Play():
                    assert state.phase is Phase.SPEAKING, "sound outside of SPEAKING"
                case Flush(floor=floor):
                    assert floor <= state.floor, "a flush must raise the floor"
                case SetTimer(timer=timer, seconds=seconds):
                    assert seconds is None or seconds > 0
                    timers = timers - {timer} if seconds is None else timers | {timer}
                case OpenSession() | CloseSession():
                    wanted = isinstance(command, OpenSession)
                case Capture(on=on):
                    captures = on
                case _:
                    pass
        return Model(state, speaker, timers, wanted, captures)

    def check(self) -> None:
        """What holds in every state."""
        state = self.state
        assert 0 <= state.floor <= state.newest
        assert self.captures is not state.muted, "the microphone is open though the box is muted, or the reverse"
        if state.muted or Device.MICROPHONE in state.lost:
            assert state.window is None, "the microphone is open though it must not, or cannot, be"
        if state.window is not None and state.window.since is not None:
            assert state.window.since >= 0
        if state.written:
            assert state.window is None, "the microphone is open though nobody spoke"
        assert not (state.window is not None and state.window.armed and state.held), "what is said is not kept"
        if state.fault is not None and state.fault not in LASTING:
            assert Timer.FAULT in self.timers, "a passing fault that would never pass"
        assert not (state.held and state.phase not in (Phase.CONNECTING, Phase.LISTENING))
        assert not state.follow_up or state.phase is Phase.LISTENING
        self._check_overlap()
        _CHECKS[state.phase](self)

    def _check_overlap(self) -> None:
        """Whoever speaks over a reply finds it held or softer, not for ever, and nothing else is."""
        state, speaker = self.state, self.speaker
        assert speaker.held == state.holding
        assert speaker.ducked == (state.overlap is not None and not state.holding)
        assert (Timer.OVERLAP in self.timers) == (state.overlap is not None)
        if state.overlap is not None:
            assert state.phase is Phase.SPEAKING
            assert not state.muted
            assert not state.written
            assert Device.MICROPHONE not in state.lost

    def _check_idle(self) -> None:
        state = self.state
        assert state.window is None, "the microphone is open in IDLE"
        assert state.link is Link.DOWN
        assert state.floor == state.newest
        assert not self.speaker.queue, "sound in IDLE"
        assert not self.session_wanted, "a session nobody wants"
        assert Timer.PHASE not in self.timers

    def _check_connecting(self) -> None:
        assert self.state.window is not None or self.state.texts, "connecting for nothing"
        assert self.state.link is not Link.UP
        assert self.session_wanted
        assert Timer.PHASE in self.timers

    def _check_listening(self) -> None:
        assert self.state.window is not None
        assert self.state.window.until is None, "listening to a window that closes"
        assert self.state.link is Link.UP
        assert not self.speaker.queue, "listening while it speaks"
        assert Timer.PHASE in self.timers

    def _check_thinking(self) -> None:
        assert self.state.link is Link.UP
        assert not self.speaker.queue
        assert Timer.PHASE in self.timers

    def _check_speaking(self) -> None:
        state = self.state
        assert state.newest > state.floor
        if not state.policy.full_duplex:
            assert state.window is None, "half duplex: the service must not hear its own reply"
        if state.link is not Link.UP:
            assert state.window is None
        if state.complete:
            assert (state.newest, True) in self.speaker.queue, "nobody will report the end of this reply"
        else:
            assert Timer.PHASE in self.timers, "a reply without an end and without a deadline"

    def left_alone(self) -> tuple[Event | None, "Model"]:
        """What happens when nobody does anything: the speaker plays on, then a deadline passes. None: nothing more."""
        speaker, drained = self.speaker.play_on()
        if drained is not None:
            event: Event = SpeakerDrained(drained)
            return event, replace(self, speaker=speaker).happens(event)
        for timer in Timer:
            if timer in self.timers:
                return TimerExpired(timer), self.happens(TimerExpired(timer))
        return None, self


_CHECKS = {
    Phase.IDLE: Model._check_idle,
    Phase.CONNECTING: Model._check_connecting,
    Phase.LISTENING: Model._check_listening,
    Phase.THINKING: Model._check_thinking,
    Phase.SPEAKING: Model._check_speaking,
}


def _check_step(before: State, event: Event, after: State, commands: tuple[Command, ...]) -> None:
    assert after.floor >= before.floor
    assert after.newest >= before.newest
    rule = rule_for(before.phase, type(event))
    if rule is None:
        assert (after, commands) == (before, ())
    elif after.phase is not before.phase:
        assert after.phase in rule.leads_to, f"{type(event).__name__} may not lead {before.phase} → {after.phase}"
    if before.phase is Phase.SPEAKING:
        for cut in (c for c in commands if isinstance(c, Flush) and c.source is not None):
            assert cut.source in before.policy.interrupted_by | {Source.TEXT}, "cut by who may not"
    if before.phase is Phase.IDLE and after.phase is not Phase.IDLE:
        assert isinstance(event, WakeDetected | ButtonPressed | TextAsked), "it woke by itself"
    if before.window is None and after.window is not None and before.phase is Phase.IDLE:
        assert isinstance(event, WakeDetected | ButtonPressed)
