"""NextEVI, without I/O: whatever is sent to it, in whatever order (COM-10)."""

import itertools
import json
from typing import Any
from urllib.parse import quote

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.services.nextevi_kit import (
    CANARY,
    CUT,
    ENVELOPES,
    KEY,
    METADATA,
    NOW,
    READY,
    Envelope,
    b64,
    final,
    llm,
    only,
    says,
    tts,
)
from tests.services.test_lira_fuzz import garbage, json_values
from voicebox.core.events import Event, Interrupted, ReplyAudio, ReplyDone, ReplyStarted, ReplyText, Transcript
from voicebox.services._words import Words
from voicebox.services.base import Effect, Hangup, Later, Send, Sound, Verdict
from voicebox.services.nextevi import Service, Settings
from voicebox.wire import wav
from voicebox.wire.nextevi import SERVER_MESSAGES

FIELDS = sorted(
    {field for model in SERVER_MESSAGES.values() for field in model.model_fields} | {"type", "data", "payload"}
)
SOUNDS = [b"", b"\1", b"\1\0" * 9, wav.pack(b"\1\0" * 9, 24_000), wav.pack(b"\1\0" * 9, 8_000), b"RIFF\0\0\0\0WAVE"]
TIMERS = ("ready", "gap", "words", "release", "keep_alive")


def dialled(secret: str = CANARY, **changes: Any) -> Service:
    numbers = itertools.count()
    adapter = Service(Settings(config_id="c", **changes), new_id=lambda: f"id-{next(numbers)}", clock=lambda: NOW)
    adapter.dial({"nextevi_api_key": secret}, NOW)
    return adapter


@st.composite
def odd_messages(draw: st.DrawFn) -> str:
    """NextEVI's grammar with anything in any field."""
    kind = draw(st.sampled_from([*SERVER_MESSAGES, "unknown"]))
    values = json_values | st.sampled_from([b64(sound) for sound in SOUNDS])
    fields: dict[str, Any] = draw(st.dictionaries(st.sampled_from(FIELDS), values, max_size=5))
    envelope: Envelope = draw(st.sampled_from(ENVELOPES))
    return json.dumps((fields if envelope == "flat" else {"data": fields}) | {"type": kind})


generations = st.sampled_from(["", "g1", "g2", "g3"])
indices = st.none() | st.integers(0, 4)
sensible = st.one_of(
    st.builds(lambda t, g, i, f: llm(t, g, i, final=f), st.sampled_from("abc"), generations, indices, st.booleans()),
    st.sampled_from(
        [tts(b"\1\0" * 9), tts(b"\2\0", is_last=True), CUT, '{"type":"user_interruption"}', METADATA, READY]
    ),
    st.sampled_from([final(), final(""), says("transcription", transcript="x"), says("turn_start", turn_id="t")]),
    st.sampled_from(
        [says("error", error_code=CANARY, error_message=CANARY, details={"x": [CANARY, {CANARY: CANARY}]})]
    ),
    st.builds(lambda sound: says("tts_chunk", content=b64(sound)), st.sampled_from(SOUNDS)),
)
frames = st.one_of(sensible, odd_messages(), garbage, st.text(max_size=20), st.binary(max_size=9))


def encodable(effect: object) -> bool:
    """What goes out, or into a log, can be written there."""
    text = effect.message if isinstance(effect, Send) else repr(effect)
    return isinstance(text, bytes) or text.encode() is not None


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["documented", "sdk", "both"]), st.lists(frames, max_size=15))
def test_nothing_received_raises_or_tells_the_key(dialect: str, messages: list[str | bytes]) -> None:
    """EVI-09, EVI-57, EVI-71, EVI-81, COM-02, COM-10"""
    adapter = dialled(dialect=dialect)
    effects: list[object] = list(adapter.opened())
    for message in messages:
        effects += adapter.received(message)
    for key in TIMERS:
        effects += adapter.later(key)
    effects += [*adapter.audio_start(), *adapter.audio(b"\0\0"), *adapter.cancel(1), *adapter.goodbye()]
    assert all(isinstance(effect, Event | Send | Sound | Later | Hangup) for effect in effects)
    assert all(map(encodable, effects))
    assert CANARY not in repr(effects) + repr(adapter.closed(4001, CANARY))
    assert all(len(effect.pcm) % 2 == 0 and effect.pcm for effect in only(ReplyAudio, effects))


secrets = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40).filter(
    lambda text: text.strip("*")
)
kinds = st.sampled_from(sorted(SERVER_MESSAGES))


@settings(max_examples=300, deadline=None)
@given(secrets, kinds, st.sampled_from(FIELDS), st.booleans())
@example("********a\\", "error", "details", True)  # opens nothing
def test_a_key_quoted_back_anywhere_is_in_no_event(text: str, kind: str, field: str, encoded: bool) -> None:
    """EVI-09, COM-02"""
    secret = "oak_" + text
    adapter = dialled(secret)
    quoted = quote(secret, safe="") if encoded else secret
    value: Any = {field: f"is {quoted} yours?", quoted: [quoted], "details": {"x": quoted}}
    for message in ({"type": kind, "data": value}, {"type": kind} | value, {"type": quoted, quoted: quoted}):
        shown = repr(adapter.received(json.dumps(message)))
        assert repr(secret)[1:-1] not in shown
        assert repr(quoted)[1:-1] not in shown


@given(st.integers(1000, 4999), st.text(max_size=30), st.integers(100, 599))
def test_every_end_has_a_verdict_and_never_a_tight_loop(code: int, reason: str, status: int) -> None:
    """EVI-36, COM-05"""
    for verdict in (dialled().closed(code, reason), dialled().refused(status, {"Retry-After": reason})):
        assert isinstance(verdict, Verdict)
        assert verdict.retry_after >= 2.0 if verdict.retry else verdict.effects
        assert verdict.retry_after <= 3600


class _Listener:
    """What somebody at the speaker knows: which replies are dead, and when sound may be believed again."""

    def __init__(self) -> None:
        self.floor = self.newest = 0
        self.dead = False

    def take(self, effects: list[Effect], *, released: bool) -> None:
        self.dead = self.dead and not released
        for effect in effects:
            match effect:
                case ReplyStarted(reply_id=reply_id):
                    assert reply_id == self.newest + 1, "ids rise one by one"
                    self.newest = reply_id
                case ReplyAudio(reply_id=reply_id) | Sound(reply_id=reply_id):
                    assert not self.dead, "late sound of a dead reply"
                    assert reply_id == self.newest > self.floor
                case ReplyText(reply_id=reply_id) | ReplyDone(reply_id=reply_id):
                    assert self.floor < reply_id <= self.newest
                case Interrupted(reply_id=reply_id):
                    assert reply_id == self.newest
                    self.floor, self.dead = reply_id, True
                case _:
                    pass


def _releases(action: str, effects: list[Effect]) -> bool:
    """EVI-55: the user was understood, or a new generation has begun."""
    if action in ("release", "redial"):
        return True
    understood = any(e.role == "user" and e.final and e.text.strip() for e in only(Transcript, effects))
    return understood or ("llm_response_chunk" in action and bool(only(ReplyStarted, effects)))


actions = st.one_of(sensible, st.sampled_from(["cancel", "redial", *TIMERS]))


@settings(max_examples=500, deadline=None)
@given(st.lists(actions, max_size=40))
def test_nothing_of_a_dead_reply_is_heard_until_it_is_released(story: list[str]) -> None:
    """EVI-53, EVI-54, EVI-55, EVI-77; ids rise across connections"""
    adapter, listener = dialled(), _Listener()
    for action in story:
        effects = _act(adapter, action)
        listener.take(effects, released=_releases(action, effects))
        if action == "cancel":
            listener.floor, listener.dead = listener.newest, True


def _act(adapter: Service, action: str) -> list[Effect]:
    if action == "cancel":
        return list(adapter.cancel(1))
    if action in TIMERS:
        return list(adapter.later(action))
    if action == "redial":
        adapter.dial(KEY, NOW)
        return list(adapter.opened())
    return list(adapter.received(action))


@given(st.lists(st.booleans(), max_size=8), st.integers(0, 1))
def test_text_is_whole_and_in_order_however_its_pieces_come(swaps: list[bool], first: int) -> None:
    """EVI-41: neighbours change places; the first comes first, the last comes last"""
    pieces = [f" word{n}" for n in range(2 * len(swaps) + 2)]
    order = [0]
    for n, swap in enumerate(swaps):
        order += [2 * n + 2, 2 * n + 1] if swap else [2 * n + 1, 2 * n + 2]
    order.append(len(pieces) - 1)
    words = Words("g")
    told = "".join(words.add(pieces[n], first + n, final=n == order[-1]) for n in order)
    assert told == words.whole() == "".join(pieces)
    assert words.complete
    assert not words.waiting


@given(st.lists(st.text("abc ", min_size=1, max_size=5), min_size=3, max_size=12))
def test_text_that_grows_is_told_once(parts: list[str]) -> None:
    """EVI-42"""
    words, told = Words("g"), ""
    for index in range(len(parts)):
        told += words.add("".join(parts[: index + 1]), index, final=index == len(parts) - 1)
    assert told == words.whole() == "".join(parts)
