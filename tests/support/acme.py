"""Acme: a toy service, in one file as services are. Sound goes up and down as it is; what it hears ends a turn."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from voicebox.core.events import Category, ReplyAudio, ReplyDone, ReplyStarted, SessionEnded, SessionReady, Transcript
from voicebox.errors import AuthError, ConfigError
from voicebox.services.base import Adapter, Capabilities, Dial, Effect, Send, ServiceSettings, Verdict, check_url
from voicebox.wire import parse_object


class Settings(ServiceSettings):
    """``[acme]``"""

    SECRETS: ClassVar[tuple[str, ...]] = ("acme_token",)

    url: str = Field(default="wss://acme.example/talk", description="where to connect")
    mood: str = Field(default="calm", description="how it speaks")
    allow_plain: bool = Field(default=False, description="permit ws:// to this machine itself")


class Service(Adapter):
    """Acme's protocol."""

    capabilities: ClassVar[Capabilities] = Capabilities(name="acme", server_interrupts=False, auth="bearer token")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._token = self._refused = ""
        self._reply = 0
        self._speaking = False

    def dial(self, credentials: Mapping[str, str], now: float) -> tuple[Dial, Sequence[Effect]]:
        del now
        self._speaking = False
        check_url(self._settings.url, "acme", allow_plain=self._settings.allow_plain)
        self._token = credentials.get("acme_token", "")
        if self._token in ("", self._refused):
            raise AuthError("no token for Acme that it has not refused: store one as the credential acme_token")
        return Dial(self._settings.url, {"Authorization": f"Bearer {self._token}"}), []

    def refused(self, status: int, headers: Mapping[str, str]) -> Verdict:
        del headers
        if status != 401:
            return Verdict(retry=True, server_side=True)
        self._refused = self._token
        return Verdict(retry=False, effects=(SessionEnded("Acme refused the token", Category.AUTH),))

    def opened(self) -> Sequence[Effect]:
        return [Send(f'{{"mood":"{self._settings.mood}"}}'), SessionReady()]

    def received(self, message: str | bytes) -> Sequence[Effect]:
        if isinstance(message, bytes):
            return [*self._started(), ReplyAudio(self._reply, message[: len(message) // 2 * 2])]
        fields = parse_object(message) or {}
        if isinstance(fields.get("you"), str):
            return [Transcript("user", fields["you"])]
        if fields.get("end") is True and self._speaking:
            self._speaking = False
            return [ReplyDone(self._reply)]
        return []

    def _started(self) -> Sequence[Effect]:
        if self._speaking:
            return []
        self._speaking = True
        self._reply += 1
        return [ReplyStarted(self._reply)]

    def closed(self, code: int, reason: str) -> Verdict:
        del reason
        if code in (1001, 1005, 1006):
            return Verdict(retry=True)
        return Verdict(retry=False, effects=(SessionEnded("Acme has ended the session"),))

    def later(self, key: str) -> Sequence[Effect]:
        del key
        return []

    def audio_start(self) -> Sequence[Effect]:
        return []

    def audio(self, pcm: bytes) -> Sequence[Effect]:
        return [Send(pcm)]

    def audio_stop(self) -> Sequence[Effect]:
        return []

    def cancel(self, reply_id: int) -> Sequence[Effect]:
        del reply_id
        return []

    def text(self, text: str) -> Sequence[Effect]:
        raise ConfigError(f"Acme takes no written turns ({len(text)} characters)")

    def settings(self, values: Mapping[str, Any]) -> Sequence[Effect]:
        raise ConfigError(f"Acme has no settings to change: {', '.join(values)}")

    def goodbye(self) -> Sequence[Effect]:
        return []
