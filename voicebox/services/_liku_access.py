"""What stands around LIKU's WebSocket: login, token, connection data, and saving the transcript. All of it by HTTP.

A kept token is used first; where it is refused there is one new login, then it is over. Connection data is had anew for
every connection, so every redial begins with it.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from voicebox.core.events import Category, Event, ServiceError, SessionEnded
from voicebox.errors import AuthError
from voicebox.redact import redact
from voicebox.services.base import Dial, Effect, HttpAnswer, HttpRequest, Remember, Step, Verdict, retry_after
from voicebox.wire import liku as wire

if TYPE_CHECKING:
    from voicebox.services.liku import Settings

ASK_AGAIN = 300.0  # seconds until a refused login may be tried once more, if somebody asks

LOGIN, LOGIN_AGAIN, LOGIN_TO_SAVE = "login", "login again", "login to save the transcript"
INIT, INIT_AGAIN = "init-websocket", "init-websocket again"
SAVE, SAVE_AGAIN = "save-transcript", "save-transcript again"
"""The exchanges. Which it is says whether a token has been refused before it."""

TOKEN, ACCOUNT = "liku_token", "liku_account"
"""What is kept: the token, and whose it is."""

SESSION_SETTINGS = "liku.topic_id, liku.face_id, liku.liku_id and liku.language"

_LOGIN_REFUSED = (400, 401, 403, 422)
_TOKEN_REFUSED = (401, 403)
_TRANSIENT = (408, 425, 429)
_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
_SHORTEST_SECRET = 4

Outcome = tuple[Step, Sequence[Effect]]


class Access:
    """One instance lives as long as the adapter. ``data`` is what the first frame of the connection carries."""

    def __init__(self, settings: "Settings") -> None:
        self._settings = settings
        self.data: object = ""
        self._body = ""  # the connection data as it came
        self._email = self._password = ""
        self._refused_login = ("", "")
        self._refused_at = self._now = 0.0  # Unix seconds
        self._token = self._account = self._refused_token = ""
        self._renewed = False  # 1008: the token is renewed once
        self._unwrap = False  # how connection data is sent that came as JSON
        self._form_works = False  # … and that this is right
        self._fresh = False  # 4000: connection data is had anew once
        self._saving: Mapping[str, Any] = {}  # the body of a save that waits for a login

    # before the connection

    def begin(self, email: str, password: str, kept: Mapping[str, str], now: float) -> Outcome:
        """The first step of a new connection. Raises AuthError if this account was refused a moment ago."""
        if (email, password) == self._refused_login and abs(now - self._refused_at) < ASK_AGAIN:
            raise AuthError("LIKU refused this account before: store the right liku_email and liku_password")
        self._email, self._password, self._now = email, password, now
        stale = bool(self._refused_token) and kept.get(TOKEN) == self._refused_token
        self._token = self._usable_token(kept)
        return self._init(INIT) if self._token else self._login(LOGIN), [Remember(TOKEN, None)] if stale else []

    def _usable_token(self, kept: Mapping[str, str]) -> str:
        """The newest that was not refused and belongs to this account; "" if there is none."""
        account = f"{self._email} at {self._settings.api_url}"
        if account != self._account:
            self._account, self._token = account, ""
        token = kept.get(TOKEN, "")
        if self._token or token == self._refused_token or kept.get(ACCOUNT, account) != account:
            return self._token
        return token

    def _login(self, purpose: str) -> HttpRequest:
        body = wire.Login(email=self._email, password=self._password).fields()
        return HttpRequest(purpose, "POST", self._settings.api_url.rstrip("/") + wire.LOGIN_PATH, _HEADERS, body)

    def _init(self, purpose: str) -> HttpRequest:
        names = ("topic_id", "face_id", "liku_id", "language")
        wanted = {"token": self._token} | {name: getattr(self._settings, name) for name in names}
        query = urlencode({name: value for name, value in wanted.items() if value}, quote_via=quote)
        return HttpRequest(purpose, "GET", f"{self._chat_host}{wire.INIT_PATH}?{query}")

    @property
    def _chat_host(self) -> str:
        """Its address for HTTP: ws becomes http, wss https."""
        return "http" + self._settings.url.removeprefix("ws").rstrip("/")

    def answered(self, request: HttpRequest, answer: HttpAnswer) -> Outcome | None:
        """What is next. None: the request is none of ours."""
        if request.purpose in (LOGIN, LOGIN_AGAIN):
            return self._logged_in(answer, INIT if request.purpose == LOGIN else INIT_AGAIN)
        if request.purpose in (INIT, INIT_AGAIN):
            return self._initialised(answer, again=request.purpose == INIT_AGAIN)
        if request.purpose == LOGIN_TO_SAVE:
            return self._logged_in_to_save(answer)
        return self._saved(request, answer) if request.purpose in (SAVE, SAVE_AGAIN) else None

    def _logged_in(self, answer: HttpAnswer, then: str) -> Outcome:
        if answer.status in _LOGIN_REFUSED:
            return self.refuse_login(f"the login failed ({self._words(answer)})"), []
        if not 200 <= answer.status < 300:
            return self._trouble("the login failed", answer, "liku.api_url")
        kept = self._take_token(answer)
        if not kept:
            return _again("LIKU's answer to the login is invalid: it holds no token_key")
        return self._init(then), kept

    def _take_token(self, answer: HttpAnswer) -> list[Effect]:
        """Empty if there is none."""
        token = wire.read_token(answer.text)
        if not token:
            return []
        self._token, self._refused_token = token, ""
        return [Remember(TOKEN, token), Remember(ACCOUNT, self._account)]

    def _initialised(self, answer: HttpAnswer, *, again: bool) -> Outcome:
        if answer.status in _TOKEN_REFUSED:
            forgotten = self._drop_token()
            if not again:
                return self._login(LOGIN_AGAIN), forgotten
            return self.refuse_login(f"it refused the token of a new login ({self._words(answer)})"), forgotten
        if not 200 <= answer.status < 300:
            return self._trouble("the session could not be prepared", answer, f"liku.url, {SESSION_SETTINGS}")
        if not answer.text.strip():
            return _again("LIKU's answer to init-websocket is empty")
        inner = wire.unwrapped(answer.text) if self._unwrap else None
        self._body, self.data = answer.text, answer.text if inner is None else inner
        return Dial(self._settings.url.rstrip("/") + wire.SOCKET_PATH), []

    def _drop_token(self) -> list[Effect]:
        self._refused_token, self._token = self._token, ""
        return [Remember(TOKEN, None)]

    def refuse_login(self, why: str) -> Verdict:
        """The account is no good."""
        self._refused_login, self._refused_at = (self._email, self._password), self._now
        text = f"LIKU: {why}; store the right credentials liku_email and liku_password"
        return _over(text, Category.AUTH)

    def _trouble(self, what: str, answer: HttpAnswer, settings: str) -> Outcome:
        text = f"LIKU: {what} ({self._words(answer)})"
        if not transient(answer.status):
            return _over(f"{text}: check {settings}", Category.CONFIG), []
        category = {0: answer.category, 429: Category.RATE_LIMIT}.get(answer.status, Category.SERVER)
        wait = retry_after(answer.headers)
        verdict = Verdict(retry=True, server_side=answer.status > 0, retry_after=wait, category=category)
        return verdict, [ServiceError(category, _code(answer), text)]

    def _words(self, answer: HttpAnswer) -> str:
        """What was answered, for the owner."""
        if not answer.status:
            return self.clean(answer.text[:300])
        detail = self.clean(wire.read_detail(answer.text))
        return f"HTTP {answer.status}: {detail}" if detail else f"HTTP {answer.status}"

    # what the connection shows

    def accepted(self) -> None:
        """The service has taken our connection data, and in this form."""
        self._fresh = self._renewed = False
        self._form_works = self._form_works or wire.unwrapped(self._body) is not None

    def data_refused(self, why: str) -> Verdict:
        """4000: once more with fresh data, in the other form if it has two and none is known to work; then never."""
        fresh, self._fresh = self._fresh, not self._fresh
        if not self._form_works:
            self._unwrap = not fresh and wire.unwrapped(self._body) is not None
        if not fresh:
            return Verdict(retry=True)
        return _over(f"LIKU refused fresh connection data too ({why}): check {SESSION_SETTINGS}", Category.CONFIG)

    def token_refused(self, why: str) -> Verdict:
        """1008: once more with a new login; then never."""
        renewed, self._renewed = self._renewed, not self._renewed
        if renewed:
            return self.refuse_login(f"it closed the session of a new login too ({why})")
        self._drop_token()
        return Verdict(retry=True)

    # after the connection

    def save(self, conversation_id: str) -> HttpRequest:
        """Have the conversation kept."""
        topic = self._settings.topic_id
        body = wire.SaveTranscript(connection_data=self.data, topic_id=topic, conversation_id=conversation_id)
        return self._save(SAVE, body.fields())

    def _save(self, purpose: str, body: Mapping[str, Any]) -> HttpRequest:
        headers = {"Content-Type": "application/json", "Authorization": f"Token {self._token}"}
        return HttpRequest(purpose, "POST", self._chat_host + wire.SAVE_PATH, headers, body)

    def _saved(self, request: HttpRequest, answer: HttpAnswer) -> Outcome:
        if 200 <= answer.status < 300:
            return Verdict(retry=False), []
        forgotten = self._drop_token() if answer.status in _TOKEN_REFUSED else []
        if forgotten and request.purpose == SAVE:
            self._saving = request.json or {}
            return self._login(LOGIN_TO_SAVE), forgotten
        return Verdict(retry=False), [*forgotten, self._not_saved(answer)]

    def _logged_in_to_save(self, answer: HttpAnswer) -> Outcome:
        kept = self._take_token(answer) if 200 <= answer.status < 300 else []
        return (
            (self._save(SAVE_AGAIN, self._saving), kept) if kept else (Verdict(retry=False), [self._not_saved(answer)])
        )

    def _not_saved(self, answer: HttpAnswer) -> Event:
        """Only reported: the conversation was a good one all the same."""
        text = f"LIKU did not keep the transcript ({self._words(answer)})"
        return ServiceError(Category.SERVER, _code(answer), text)

    # secrets

    def clean(self, text: str) -> str:
        """A service may quote our own secrets back at us."""
        data = self.data if isinstance(self.data, str) else ""
        ours = {self._email, self._password, self._token, self._refused_token, self._body, data}
        for secret in sorted(ours, key=len, reverse=True):
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "***")
        return redact(text)


def transient(status: int) -> bool:
    """Whether the same may be answered otherwise later; below 400 it was a captive portal, not the service."""
    return not 400 <= status < 500 or status in _TRANSIENT


def _code(answer: HttpAnswer) -> str:
    return str(answer.status or "")


def _over(text: str, category: Category) -> Verdict:
    return Verdict(retry=False, effects=(SessionEnded(text, category),))


def _again(text: str) -> Outcome:
    """Something is wrong on the service's side."""
    return Verdict(retry=True, server_side=True), [ServiceError(Category.PROTOCOL, "", text)]
