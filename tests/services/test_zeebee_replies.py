"""ZeebeeAI, without I/O: what comes down, in whatever shape, and what is heard of it."""

import base64
import itertools

import pytest

from tests.services.zeebee_kit import (
    END,
    KEY,
    MP3,
    SPEECH,
    START,
    USER,
    asked,
    feed,
    heard,
    only,
    pieces,
    redial,
    reply,
    says,
    sent,
    speak,
    waits,
    welcomed,
)
from voicebox.audio.decode import Decoder
from voicebox.core.events import (
    Category,
    ReplyDone,
    ReplyStarted,
    ReplyText,
    ServiceError,
    ServiceStatus,
    SessionEnded,
    SessionWarning,
    Transcript,
    VendorRaw,
)
from voicebox.services._inflight import END_GRACE, TIMEOUT
from voicebox.services.base import Effect, Hangup, Sound
from voicebox.wire import wav
from voicebox.wire.zeebee import BAD_AUDIO, NO_AUDIO, NOT_SPOKEN, NOT_UNDERSTOOD

# --- a turn --------------------------------------------------------------------------------------------------------


def test_zbe_35_zbe_36_zbe_38_zbe_48_a_turn_in_its_order() -> None:
    effects = [effect for effect in feed(asked(), *reply()) if not waits([effect])]
    assert effects == [
        Transcript("user", "hello"),
        ReplyStarted(1),
        ReplyText(1, "well"),
        *[Sound(1, MP3[at : at + 68]) for at in range(0, 204, 68)],
        Sound(1, b"", last=True),
        ReplyDone(1),
    ]


@pytest.mark.parametrize(("alias", "name"), [("transcription", "transcript"), ("ai_response", "response")])
def test_zbe_63_aliases(alias: str, name: str) -> None:
    assert feed(asked(), says(alias, text="a")) == feed(asked(), says(name, text="a"))
    assert len(only(Transcript | ReplyText, feed(asked(), says(alias, text="a")))) == 1  # type: ignore[arg-type] # a union


@pytest.mark.parametrize("word", ["status", "message", "state"])
def test_zbe_37_status_is_passed_on(word: str) -> None:
    effects = welcomed().received(says("status", **{word: "thinking", "progress": 3}))
    assert only(ServiceStatus, effects) == [ServiceStatus("thinking", {"progress": 3})]


def test_zbe_49_every_piece_is_handed_on_when_it_comes() -> None:
    adapter = asked()
    feed(adapter, START)
    assert [heard(feed(adapter, piece)) for piece in pieces()] == [{1: MP3[at : at + 68]} for at in range(0, 204, 68)]


@pytest.mark.parametrize("first", [0, 1])
def test_zbe_39_zbe_40_in_any_order_and_count(first: int) -> None:
    for order in itertools.permutations(pieces(first=first)):
        assert heard(feed(asked(), START, *order, END)) == {1: MP3}


def test_zbe_40_the_count_is_learnt_for_the_next_reply() -> None:
    adapter = asked()
    frames = [b"\xff\xf3\x84\xc4" + bytes(60)] * 3
    feed(adapter, *reply(data=b"".join(frames))[:3], *pieces(b"".join(frames), first=1), END)
    speak(adapter)
    assert heard(feed(adapter, START, pieces(b"".join(frames), first=1)[0])) == {2: frames[0]}


def test_zbe_41_duplicates_are_ignored() -> None:
    adapter = asked()
    assert heard(feed(adapter, START, *(p for p in pieces() for _ in range(2)), END)) == {1: MP3}


def test_zbe_42_text_cut_anywhere_and_pieces_encoded_by_themselves() -> None:
    text = base64.b64encode(MP3).decode()
    cut = [says("audio_chunk", data=text[at : at + 31], chunk_index=n) for n, at in enumerate(range(0, len(text), 31))]
    assert heard(feed(asked(), START, *cut, END)) == {1: MP3}
    assert heard(feed(asked(), START, *pieces(count=7), END)) == {1: MP3}


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_zbe_43_a_missing_piece_leaves_what_came_before_and_is_warned_of(lost: int) -> None:
    """Nothing hangs: the reply ends, and the next utterance is answered"""
    came = pieces()
    del came[lost]
    adapter = asked()
    effects = feed(adapter, START, *came, END)
    assert heard(effects) == {1: {0: MP3[68:], 1: MP3[:68], 2: MP3[:136]}[lost]}
    assert [w.kind for w in only(SessionWarning, effects)] == ["missing_sound"]
    assert only(ReplyDone, effects) == [ReplyDone(1)]
    speak(adapter)
    assert heard(feed(adapter, *reply())) == {2: MP3}


@pytest.mark.parametrize("total", [None, 0, 1, 2, 50, "three", -1])
def test_zbe_44_a_wrong_total_or_none_is_survived(total: object) -> None:
    start = says("audio_stream_start", **({} if total is None else {"total_chunks": total}))
    cut = [
        says("audio_chunk", data=base64.b64encode(MP3[at : at + 68]).decode(), chunk_index=n)
        for n, at in enumerate(range(0, 204, 68))
    ]
    effects = feed(asked(), start, *cut, END)
    assert heard(effects) == {1: MP3}
    assert only(ReplyDone, effects) == [ReplyDone(1)]


def test_zbe_64_a_binary_frame_is_sound() -> None:
    assert heard(feed(asked(), START, MP3[:99], MP3[99:], END)) == {1: MP3}
    assert heard(feed(asked(), MP3[:99])) == {1: MP3[:99]}, "with no start"


def test_zbe_45_zbe_46_what_is_handed_on_can_be_played() -> None:
    sound = wav.pack(SPEECH, 16_000)
    decoder = Decoder()
    effects = feed(asked(), START, *pieces(sound), END)
    assert sum(len(decoder(piece)) for piece in only(Sound, effects)) == len(SPEECH) * 3 // 2


@pytest.mark.parametrize(
    "message", [says("weather"), says("audio_chunk", chunk_index="x", data="AAAA"), says("x", data=1)]
)
def test_zbe_65_what_is_unknown_is_kept_without_what_is_private(message: str) -> None:
    effects = asked().received(message)
    (raw,) = only(VendorRaw, effects)
    assert raw.message.get("data", "***") == "***"


def test_words_that_come_after_the_sound_belong_to_it() -> None:
    adapter = asked()
    effects = feed(adapter, START, *pieces(), END, says("response", text="late", conversation_id="conv_1"))
    assert only(ReplyText, effects) == [ReplyText(1, "late")]
    assert only(ReplyStarted, effects) == [ReplyStarted(1)]
    assert sent(speak(adapter))[0]["conversation_id"] == "conv_1"


def test_a_reply_that_nobody_asked_for_is_heard() -> None:
    effects = feed(welcomed(), says("response", text="Good evening"), START, *pieces(), END)
    assert heard(effects) == {1: MP3}
    assert only(ReplyDone, effects) == [ReplyDone(1)]


# --- one after another ---------------------------------------------------------------------------------------------


def test_zbe_59_one_utterance_is_in_flight_and_the_others_wait_in_their_order() -> None:
    adapter = welcomed()
    spoken = [bytes([n, 0]) * 16_000 for n in (1, 2, 3)]
    assert [len(sent(speak(adapter, pcm))) for pcm in spoken] == [1, 0, 0]
    for number in (2, 3):
        (message,) = sent(feed(adapter, *reply()))
        assert wav.read(base64.b64decode(message["audio_data"])).data == spoken[number - 1]
    assert sent(feed(adapter, *reply())) == []


def test_zbe_59_of_too_many_the_oldest_go() -> None:
    adapter = welcomed()
    effects = [effect for n in range(5) for effect in speak(adapter, bytes([n, 0]) * 16_000)]
    assert [w.kind for w in only(SessionWarning, effects)] == ["dropped"] * 2
    after = [sent(feed(adapter, *reply())) for _ in range(3)]
    first = [wav.read(base64.b64decode(m["audio_data"])).data[0] for messages in after for m in messages]
    assert first == [3, 4]


def test_zbe_60_after_30_s_without_a_reply_there_is_an_error_and_room_for_the_next() -> None:
    adapter = welcomed()
    assert waits(speak(adapter))["answer"] == TIMEOUT == 30.0
    speak(adapter)
    effects = adapter.later("answer")
    assert [(e.category, e.code) for e in only(ServiceError, effects)] == [(Category.SERVER, "timeout")]
    assert only(ReplyDone, effects) == [ReplyDone(1)], "nobody waits any longer"
    assert len(sent(effects)) == 1
    assert waits(effects)["answer"] == TIMEOUT


@pytest.mark.parametrize("sign", [says("transcript", text="a"), says("response", text="a"), START, pieces()[0]])
def test_zbe_60_every_sign_of_the_reply_begins_the_wait_anew(sign: str) -> None:
    assert waits(feed(asked(), sign))["answer"] == TIMEOUT


def test_a_stream_that_is_all_there_but_for_its_end_ends_soon() -> None:
    adapter = asked()
    assert waits(feed(adapter, START, *pieces()))["answer"] == END_GRACE
    effects = adapter.later("answer")
    assert only(ServiceError, effects) == []
    assert only(ReplyDone, effects) == [ReplyDone(1)]


def test_a_reply_given_up_half_way_is_not_taken_for_the_next() -> None:
    adapter = asked()
    feed(adapter, START, pieces()[0])
    effects = adapter.later("answer")
    assert [e.code for e in only(ServiceError, effects)] == ["timeout"]
    speak(adapter)
    assert heard(feed(adapter, *pieces()[1:], END)) == {}
    assert heard(feed(adapter, *reply())) == {2: MP3}


# --- interrupted ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", range(7))
def test_zbe_58_nothing_of_a_reply_is_heard_after_it_was_cut_whenever_that_is(cut: int) -> None:
    """A4.2 n. The new utterance waits until the old reply is over, and is answered."""
    adapter = asked()
    story = reply()
    before = feed(adapter, *story[:cut])
    adapter.cancel(len(only(ReplyStarted, before)))
    assert sent(speak(adapter)) == []
    after = feed(adapter, *story[cut:])
    assert heard(after) == {}
    assert not only(ReplyStarted, after)
    assert not only(Transcript, after)
    assert not only(ReplyDone, after)
    assert len(sent(after)) == 1
    newest = len(only(ReplyStarted, before)) + 1
    assert heard(feed(adapter, *reply())) == {newest: MP3}


def test_zbe_58_the_next_stream_is_believed_where_the_end_of_the_dead_one_was_lost() -> None:
    adapter = asked()
    feed(adapter, *reply()[:4])
    adapter.cancel(1)
    assert heard(feed(adapter, pieces()[1])) == {}
    effects = feed(adapter, START, *pieces(), END)
    assert heard(effects) == {2: MP3}
    assert adapter._flight.dropped_bytes > 60


def test_zbe_58_a_dead_reply_that_never_comes_gives_room_after_30_s_without_a_word() -> None:
    adapter = asked()
    adapter.cancel(0)
    speak(adapter)
    effects = adapter.later("answer")
    assert only(ServiceError, effects) == []
    assert len(sent(effects)) == 1


def test_cutting_a_reply_that_has_ended_on_the_wire_harms_no_later_one() -> None:
    adapter = asked()
    feed(adapter, *reply())
    adapter.cancel(1)
    assert len(sent(speak(adapter))) == 1
    assert heard(feed(adapter, *reply())) == {2: MP3}


def test_a_late_cut_of_an_older_reply_spares_the_newer() -> None:
    adapter = asked()
    feed(adapter, *reply())
    speak(adapter)
    feed(adapter, *reply()[:2])
    adapter.cancel(1)
    assert heard(feed(adapter, *reply()[2:])) == {2: MP3}


def test_what_waited_when_a_reply_was_cut_is_no_longer_wanted() -> None:
    adapter = asked()
    speak(adapter)
    adapter.cancel(0)
    assert sent(feed(adapter, *reply())) == []


def test_the_id_of_a_dead_replys_conversation_is_kept() -> None:
    """ZBE-31"""
    adapter = asked()
    adapter.cancel(0)
    feed(adapter, says("response", text="a", conversation_id="conv_3"), START, END)
    assert sent(speak(adapter))[0]["conversation_id"] == "conv_3"


# --- trouble -------------------------------------------------------------------------------------------------------


def errors(effects: list[Effect]) -> list[tuple[Category, str, bool]]:
    return [(e.category, e.code, "please repeat" in e.message) for e in only(ServiceError, effects)]


@pytest.mark.parametrize(
    ("text", "code"),
    [(NO_AUDIO, "audio"), (BAD_AUDIO, "audio"), (NOT_UNDERSTOOD, "stt"), ("please TRANSCRIBE AUDIO first", "stt")],
)
def test_zbe_51_zbe_52_zbe_53_what_was_not_understood_is_to_be_repeated_at_once(text: str, code: str) -> None:
    adapter = asked()
    effects = feed(adapter, says("error", message=text))
    assert errors(effects) == [(Category.SERVER, code, True)]
    assert only(ReplyDone, effects) == [ReplyDone(1)], "nobody waits for an answer"
    assert not only(Hangup, effects)
    assert len(sent(speak(adapter))) == 1


def test_zbe_50_tts_error_the_text_is_shown_and_the_session_lives() -> None:
    adapter = asked()
    effects = feed(adapter, says("response", text="so it is"), says("tts_error", message="no voice today"))
    assert only(ReplyText, effects) == [ReplyText(1, "so it is")]
    (error,) = only(ServiceError, effects)
    assert (error.code, "no voice today" in error.message) == ("tts", True)
    assert only(ReplyDone, effects) == [ReplyDone(1)]
    assert len(sent(speak(adapter))) == 1


def test_zbe_50_also_where_the_text_comes_behind_it_or_the_sound_breaks_off() -> None:
    effects = feed(asked(), says("tts_error", message="no"), says("response", text="so it is"))
    assert only(ReplyText, effects) == [ReplyText(1, "so it is")]
    assert only(ReplyDone, effects) == [ReplyDone(1)]
    effects = feed(asked(), says("response", text="so"), START, pieces()[0], says("tts_error", message="no"))
    assert heard(effects) == {1: MP3[:68]}
    assert only(Sound, effects)[-1].last
    assert only(ReplyDone, effects) == [ReplyDone(1)]


def test_zbe_54_the_error_that_says_the_same() -> None:
    effects = feed(asked(), says("response", text="a"), says("error", message=NOT_SPOKEN.format("openai")))
    assert errors(effects) == [(Category.SERVER, "tts", False)]
    assert only(ReplyDone, effects) == [ReplyDone(1)]


def test_zbe_55_an_unknown_error_is_passed_on_and_ends_only_what_had_not_begun() -> None:
    effects = feed(asked(), says("error", message="the moon is full"))
    assert errors(effects) == [(Category.SERVER, "", False)]
    assert only(ReplyDone, effects) == [ReplyDone(1)]
    effects = feed(asked(), *reply()[:4], says("error", message="the moon is full"), *reply()[4:])
    assert heard(effects) == {1: MP3}
    assert not only(SessionEnded, effects)


def test_an_error_ends_a_dead_utterance_without_a_new_reply() -> None:
    adapter = asked()
    adapter.cancel(0)
    speak(adapter)
    effects = feed(adapter, says("error", message=NOT_UNDERSTOOD))
    assert not only(ReplyStarted, effects)
    assert len(sent(effects)) == 1


def test_reply_ids_rise_across_connections() -> None:
    adapter, ids = asked(), []
    for _ in range(3):
        ids += [e.reply_id for e in only(ReplyStarted, feed(adapter, *reply()))]
        redial(adapter)
        adapter.opened()
        adapter.received(says("init_ack"))
        speak(adapter)
    assert ids == [1, 2, 3]


def test_zbe_14_what_the_service_quotes_back_is_not_repeated() -> None:
    adapter = asked()
    quoted = f"{KEY} of {USER}"
    effects = feed(
        adapter,
        says("transcript", text=quoted),
        says("response", text=quoted),
        says("error", message=quoted),
        says("tts_error", message=quoted),
        says("connection_warning", message=quoted),
        says("status", status=quoted, deep=[{quoted: quoted}]),
        says("weather", api_key=quoted, list=[quoted], data={"x": quoted, "user_id": [quoted]}),
        says(quoted),
    )
    assert len(effects) > 8
    assert KEY not in repr(effects)
    assert USER not in repr(effects)
