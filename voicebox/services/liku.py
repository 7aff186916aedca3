"""LIKU: login and connection data by HTTP, then raw PCM both ways over one WebSocket; the service detects turns.

Source: the vendor's WebSocket API integration guide. Interruptions and the end of a reply are not on its wire and are
inferred here:

- A reply ends 600 ms after its last sound (services/_responses.py).
- The user has cut a reply if a turn is understood while it can still be heard: sound had gone up without a break since
  the reply began, for at least the 700 ms of quiet that end a turn (else the transcript is a late one of the turn that
  is being answered) and for no longer than the reply lasts. With a half-duplex box only the box itself can cut.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar
from uuid import NAMESPACE_URL, uuid5

from pydantic import Field

from voicebox.core.events import Category, ReplyStarted, ReplyText, SessionEnded, SessionReady, Transcript, VendorRaw
from voicebox.errors import AuthError, ConfigError
from voicebox.services._liku_access import Access, transient
from voicebox.services._responses import KEY as GAP
from voicebox.services._responses import Responses
from voicebox.services._scrub import scrubbed
from voicebox.services.base import (
    Adapter,
    Capabilities,
    Effect,
    HttpAnswer,
    HttpRequest,
    Later,
    Send,
    ServiceSettings,
    Step,
    Verdict,
    check_url,
    retry_after,
)
from voicebox.wire import flatten, parse_object
from voicebox.wire import liku as wire

GRACE = 0.3  # seconds after the first frame in which the service can refuse it; it never says that it accepts
CHUNK = 4096  # bytes of one audio message
TURN_MS = 700  # of quiet end a turn
SLACK = 1.0  # seconds that a reply may be heard later than it was received

Id = Annotated[str, Field(coerce_numbers_to_str=True)]


class Settings(ServiceSettings):
    """``[liku]``"""

    SECRETS: ClassVar[tuple[str, ...]] = ("liku_email", "liku_password")

    url: str = Field(default="wss://voice-liku-chat.med2lab.com", description="the chat host")
    api_url: str = Field(default="https://torooc-liku-api.med2lab.com", description="the host that one logs in at")
    topic_id: Id = Field(default="", description="what to talk about (required)")
    face_id: Id = Field(default="", description="the avatar")
    liku_id: Id = Field(default="", description="the assistant")
    language: str = Field(default="", description='e.g. "ko" or "en"')
    save_transcript: bool = Field(default=False, description="have LIKU keep the conversation when it is over")
    conversation_id: Id = Field(default="", description="under this id, if LIKU names none; one of its own by default")
    trailing_silence_ms: int = Field(
        default=1000, ge=TURN_MS, le=5000, description="silence sent after the last word: 700 ms of it end a turn"
    )
    allow_plain: bool = Field(default=False, description="permit ws:// and http:// to this machine itself")


# --- the adapter ---------------------------------------------------------------------------------------------------


class Service(Adapter):
    """LIKU's protocol as a state machine without I/O. See services/base.py for what each method promises."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        name="liku",
        uplink_chunk=CHUNK // 2,
        server_interrupts=False,
        user_partials=True,
        auth="e-mail and password, by HTTP",
        lead=0.2,  # its checklist: no under-run at 200 ms of jitter
        ready_timeout=20.0,  # two HTTP exchanges come before the WebSocket
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._access = Access(settings)
        self._responses = Responses()
        self._dialled_at = 0.0  # Unix seconds
        self.odd_bytes = 0
        self._forget()

    @property
    def dropped_bytes(self) -> int:
        """Late sound of dead replies, never handed on."""
        return self._responses.dropped_bytes

    def _forget(self) -> None:
        """A new connection knows nothing of the last."""
        self._open = self._ready = self._streaming = False
        self._proven = False  # a message has come: the service has accepted us
        self._conversation = ""
        self._pending = bytearray()  # uplink audio, less than a chunk
        self._mic_since: int | None = None  # bytes gone up without a break since the newest reply's first sound
        self._turns: deque[str] = deque(maxlen=64)  # message ids of what the user said
        self._shown: deque[tuple[str, str]] = deque(maxlen=64)  # (message id, type) of what the assistant said
        self._texts: dict[str, str] = {}  # text -> type, of this reply
        self._responses.forget()

    # connection

    def dial(self, credentials: Mapping[str, str], now: float) -> tuple[Step, Sequence[Effect]]:
        self._forget()
        settings = self._settings
        if not settings.topic_id.strip():
            raise ConfigError("liku.topic_id is not set: LIKU needs to know what to talk about")
        check_url(settings.url, "liku", allow_plain=settings.allow_plain)
        check_url(settings.api_url, "liku", allow_plain=settings.allow_plain, setting="api_url", scheme="https")
        missing = [name for name in settings.SECRETS if not credentials.get(name)]
        if missing:
            raise AuthError(f"no account for LIKU: store {' and '.join(missing)} as credentials")
        self._dialled_at = now
        return self._access.begin(credentials["liku_email"], credentials["liku_password"], credentials, now)

    def answered(self, request: HttpRequest, answer: HttpAnswer) -> tuple[Step, Sequence[Effect]]:
        outcome = self._access.answered(request, answer)
        return super().answered(request, answer) if outcome is None else outcome

    def refused(self, status: int, headers: Mapping[str, str]) -> Verdict:
        if status in (401, 403):
            return self._access.refuse_login(f"it refused the connection (HTTP {status})")
        if transient(status):
            return Verdict(retry=True, server_side=True, retry_after=retry_after(headers))
        ended = SessionEnded(f"LIKU answered HTTP {status}: check liku.url", Category.CONFIG)
        return Verdict(retry=False, effects=(ended,))

    def opened(self) -> Sequence[Effect]:
        self._open = True
        return [Send(wire.first_frame(self._access.data)), Later(GRACE, "grace")]

    def closed(self, code: int, reason: str) -> Verdict:
        why = f"code {code}{': ' if reason else ''}{self._access.clean(reason)}"
        self._ready = self._ready and code not in (4000, 1008)
        if code == 4000:
            return self._access.data_refused(why)
        if code == 1008:
            return self._access.token_refused(why)
        if code != 1000 and code < 3000:
            return Verdict(retry=True, server_side=code != 1006)
        ended = SessionEnded(f"LIKU closed the session ({why})", Category.SERVER)
        return Verdict(
            retry=False, effects=(SessionEnded("LIKU has ended the conversation") if code == 1000 else ended,)
        )

    def afterwards(self) -> Sequence[HttpRequest]:
        """The connection is over, and it was one if nobody refused it."""
        worked, self._ready, self._proven = self._ready or self._proven, False, False
        if not worked:
            return ()
        self._access.accepted()
        if not self._settings.save_transcript:
            return ()
        own = uuid5(NAMESPACE_URL, f"{self._dialled_at} {self._access.data}")  # another for each connection
        return [self._access.save(self._conversation or self._settings.conversation_id or str(own))]

    def later(self, key: str) -> Sequence[Effect]:
        if key == "grace":
            return self._get_ready()
        return self._responses.end() if key == GAP else ()

    def _get_ready(self) -> list[Effect]:
        if self._ready or not self._open:
            return []
        self._ready = True
        return [SessionReady()]

    def goodbye(self) -> Sequence[Effect]:
        return ()

    # uplink

    def audio_start(self) -> Sequence[Effect]:
        self._streaming = self._ready
        self._mic_since = None
        return ()

    def audio(self, pcm: bytes) -> Sequence[Effect]:
        if not self._streaming:
            return ()
        if self._mic_since is not None:
            self._mic_since += len(pcm)
        self._pending += pcm
        return self._chunks()

    def audio_stop(self) -> Sequence[Effect]:
        """LIKU hears that a turn is over by 700 ms of quiet, so it gets them."""
        if not self._streaming:
            return ()
        self._streaming = False
        self._mic_since = None
        self._pending += bytes(32 * self._settings.trailing_silence_ms)
        chunks = self._chunks()
        rest, self._pending = bytes(self._pending), bytearray()
        return [*chunks, Send(rest, is_audio=True)] if rest else chunks

    def _chunks(self) -> list[Send]:
        whole = len(self._pending) - len(self._pending) % CHUNK
        sound = bytes(self._pending[:whole])
        del self._pending[:whole]
        return [Send(sound[at : at + CHUNK], is_audio=True) for at in range(0, whole, CHUNK)]

    def cancel(self, reply_id: int) -> Sequence[Effect]:
        """LIKU knows no such message: only what is still on its way is dropped."""
        del reply_id  # whatever is on its way is of this reply or an older one
        self._responses.cancelled()
        self._mic_since = None
        return ()

    def text(self, text: str) -> Sequence[Effect]:
        del text
        raise ConfigError("LIKU takes no written turns: it can only be spoken to")

    def settings(self, values: Mapping[str, Any]) -> Sequence[Effect]:
        del values
        raise ConfigError("LIKU's settings cannot be changed in mid-session: set them under [liku]")

    # downlink

    def received(self, message: str | bytes) -> Sequence[Effect]:
        ready = self._get_ready()
        if self._open and not self._proven:
            self._proven = True
            self._access.accepted()
        return [*ready, *(self._sound(message) if isinstance(message, bytes) else self._message(message))]

    def _sound(self, data: bytes) -> Sequence[Effect]:
        self.odd_bytes += len(data) % 2
        pcm = data[: len(data) // 2 * 2]
        effects = self._responses.sound(pcm)
        if any(isinstance(effect, ReplyStarted) for effect in effects):
            self._texts.clear()
        if effects and self._responses.sound_bytes == len(pcm):  # the reply's first
            self._mic_since = 0
        return effects

    def _message(self, text: str) -> Sequence[Effect]:
        parsed = parse_object(text)
        if parsed is None:
            return [VendorRaw("", {"text": self._access.clean(text)})]
        fields = flatten(parsed)
        kind = fields.pop("type", "")
        kind = kind if isinstance(kind, str) else ""
        conversation = fields.get("conversation_id")
        if isinstance(conversation, str | int) and str(conversation):
            self._conversation = str(conversation)
        message = wire.read_server_message(fields, kind)
        if isinstance(message, wire.UserTranscript):
            return self._on_user(message)
        if isinstance(message, wire.AssistantText):
            return self._on_assistant(message, parsed)
        return [self._raw(kind, parsed)]

    def _on_user(self, message: wire.UserTranscript) -> Sequence[Effect]:
        final = message.status.lower() == wire.COMPLETED
        details = scrubbed({"message_id": message.message_id, "status": message.status}, self._access.clean)
        event = Transcript("user", self._access.clean(message.text), final=final, details=details)
        if not final or not message.text.strip():
            return [event]
        if message.message_id in self._turns:
            return []
        if message.message_id:
            self._turns.append(message.message_id)
        self._texts.clear()
        if self._talked_over():
            self._mic_since = None
            return [*self._responses.interrupted(), event]
        self._responses.user_understood()
        return [event]

    def _talked_over(self) -> bool:
        """Whether somebody has said something since the reply began, and before it can have been heard to its end."""
        if self._mic_since is None:
            return False
        return TURN_MS / 1000 <= self._mic_since / 32_000 <= self._responses.sound_bytes / 48_000 + SLACK

    def _on_assistant(self, message: wire.AssistantText, parsed: Mapping[str, Any]) -> Sequence[Effect]:
        text = wire.without_markers(message.text)
        raw = [self._raw(message.TYPE, parsed)] if text != message.text else []
        if not text.strip():
            return raw
        if self._shown_before(message, text):
            self._responses.name(message.response_id or "")
            return raw
        found = self._responses.words(message.response_id or "")
        if found is None:  # a dead reply's
            return raw
        reply_id, started = found
        if started:
            self._texts.clear()
        self._texts[text] = message.TYPE
        return [*started, ReplyText(reply_id, self._access.clean(text)), *raw]

    def _shown_before(self, message: wire.AssistantText, text: str) -> bool:
        """Both kinds of message may carry the same text, under the same message id or not."""
        ids = {kind for message_id, kind in self._shown if message_id and message_id == message.message_id}
        self._shown.append((message.message_id, message.TYPE))
        known = self._texts.get(text)
        return bool(ids - {message.TYPE}) or (known is not None and (bool(ids) or known != message.TYPE))

    def _raw(self, kind: str, message: Mapping[str, Any]) -> VendorRaw:
        return VendorRaw(self._access.clean(kind), scrubbed(dict(message), self._access.clean))
