"""Lira, without I/O: whatever is sent to it, in whatever order (faults 50–58, COM-10)."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.services.lira_kit import CANARY, ENVELOPES, Envelope, only, redial, says, service
from voicebox.core.events import Event, Interrupted, ReplyAudio, ReplyStarted, Transcript
from voicebox.services.base import Effect, Hangup, Later, Send
from voicebox.services.lira import Service
from voicebox.wire.lira import SERVER_MESSAGES

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(alphabet=st.characters(), max_size=8)
    | st.sampled_from([10**4000, -(10**400), 1e308, "\ud800", "NaN"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    *("sessionId", "session_id", "participants", "participant", "action", "speaker", "text", "timestamp", "role"),
    *("is_ai", "duration", "settings", "task", "code", "message", "type", "data", "payload", "TYPE", "fields", "self"),
)
CODES = ("SESSION_NOT_FOUND", "UNAUTHORIZED", "ALREADY_JOINED", "RATE_LIMITED")


@st.composite
def odd_messages(draw: st.DrawFn) -> str:
    """Lira's grammar with anything in any field."""
    kind = draw(st.sampled_from([*SERVER_MESSAGES, "unknown"]))
    fields: dict[str, Any] = draw(st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=5))
    envelope: Envelope = draw(st.sampled_from(ENVELOPES))
    inner = fields if envelope == "flat" else {envelope: fields}
    return json.dumps(inner | {"type": kind})


def _deep(depth: int) -> str:
    return '{"type":' * depth + "1" + "}" * depth


garbage = st.sampled_from(
    [
        _deep(60),
        _deep(900),
        _deep(100_000),
        "[" * 100_000,
        '{"type":"transcript","text":"' + "x" * 10_000_000 + '"}',
        '{"type":"audio_ready","duration":' + "9" * 5_000 + "}",
        '{"type":"audio_ready","duration":1e400}',
        '{"type":"audio_ready","duration":-Infinity}',
        '{"type":"joined","type":"interruption"}',
        '{"type":"ai_response","text":"\\ud83d"}',
        '{"type":"ai_response","text":"\ud83d"}',
        "\ufeff{}",
    ]
)
sensible = st.one_of(
    st.builds(lambda t: says("transcript", text=t, role="user"), st.sampled_from(["a", "b", ""])),
    st.builds(lambda t: says("transcript", text=t, role="assistant"), st.sampled_from(["a", "b"])),
    st.builds(lambda t: says("ai_response", text=t), st.sampled_from(["a", "b"])),
    st.builds(lambda c: says("error", code=c, message=f"token {CANARY}"), st.sampled_from(CODES)),
    st.sampled_from([says("ai_response_end"), says("interruption"), says("joined")]),
)
frames = st.one_of(sensible, odd_messages(), garbage, st.text(max_size=20), st.binary(max_size=9))


def encodable(effect: Effect) -> bool:
    """What goes out, or into a log, can be written there."""
    text = effect.message if isinstance(effect, Send) else repr(effect)
    return isinstance(text, bytes) or bool(text.encode()) or text == ""


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["documented", "lira-web", "both"]), st.lists(frames, max_size=15))
def test_nothing_received_raises_or_tells_the_token(dialect: str, messages: list[str | bytes]) -> None:
    """COM-02, COM-10, LIRA-03, LIRA-07, LIRA-30, LIRA-31"""
    adapter = service(dialect=dialect)
    effects = list(adapter.opened())
    for message in messages:
        effects += adapter.received(message)
    for later in only(Later, effects):
        effects += adapter.later(later.key)
    effects += [*adapter.audio_start(), *adapter.audio(b"\0\0"), *adapter.cancel(1), *adapter.goodbye()]
    assert all(isinstance(effect, Event | Send | Later | Hangup) for effect in effects)
    assert all(map(encodable, effects))
    assert CANARY not in repr(effects) + repr(adapter.closed(4403, CANARY))
    assert all(len(effect.pcm) % 2 == 0 and effect.pcm for effect in only(ReplyAudio, effects))


class _Listener:
    """What somebody at the speaker knows: which replies are dead, and when sound may be believed again."""

    def __init__(self) -> None:
        self.floor = self.newest = 0
        self.dead = False

    def take(self, effects: list[Effect], *, released: bool) -> None:
        if released:
            self.dead = False
        for effect in effects:
            match effect:
                case ReplyStarted(reply_id=reply_id):
                    assert reply_id == self.newest + 1, "ids rise one by one"
                    self.newest = reply_id
                case ReplyAudio(reply_id=reply_id):
                    assert not self.dead, "late sound of a dead reply"
                    assert reply_id == self.newest > self.floor
                case Interrupted(reply_id=reply_id):
                    assert reply_id == self.newest
                    self.floor, self.dead = reply_id, True
                case _:
                    pass


def _may_release(message: str | bytes, effects: list[Effect]) -> bool:
    """A1.2 h: the user was understood, or the assistant's words begin a new reply."""
    if isinstance(message, bytes):
        return False
    return any(isinstance(e, ReplyStarted) or (isinstance(e, Transcript) and e.role == "user") for e in effects)


actions = st.one_of(sensible, st.binary(min_size=2, max_size=4), st.sampled_from(["cancel", "release", "redial"]))


@settings(max_examples=400, deadline=None)
@given(st.lists(actions, max_size=40))
def test_nothing_of_a_dead_reply_is_heard_until_it_is_released(story: list[str | bytes]) -> None:
    """LIRA-36, LIRA-37, LIRA-40, fault 60; ids rise across connections"""
    adapter, listener = service(), _Listener()
    for action in story:
        effects = _act(adapter, action)
        released = action in ("release", "redial") or _may_release(action, effects)
        cut = action == "cancel" and bool(effects)
        listener.take(effects, released=released)
        if cut:
            listener.floor, listener.dead = listener.newest, True


def _act(adapter: Service, action: str | bytes) -> list[Effect]:
    if action == "cancel":
        return list(adapter.cancel(1))
    if action == "release":
        return list(adapter.later("release"))
    if action == "redial":
        adapter._refused_token = ""  # as if the owner had stored a new one
        redial(adapter)
        return []
    return list(adapter.received(action))
