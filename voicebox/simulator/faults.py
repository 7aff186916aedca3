"""What the simulator can do wrong when asked: one table."""

from collections.abc import Iterable
from dataclasses import dataclass

from voicebox.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong: every time, or only the first time. ``amount`` can be set as ``name=amount``;
    ``service`` is the only one it can happen to, where there is only one."""

    description: str
    once: bool = False
    amount: float | None = None
    service: str = ""


FAULTS: dict[str, Fault] = {
    # opening
    "unauthorized": Fault("refuses every token with HTTP 401"),
    "http_503": Fault("answers the upgrade with HTTP 503 and Retry-After: <amount> s", once=True, amount=3),
    "unauthorized_message": Fault("opens the WebSocket, then refuses the token by an error message"),
    "session_not_found": Fault("knows no meeting"),
    "already_joined": Fault("claims that the box has already joined", once=True),
    "already_joined_always": Fault("claims that the box has already joined, whenever it joins"),
    "never_joined": Fault("never answers a join"),
    # listening
    "rate_limited": Fault("complains about too many messages when audio begins to come", once=True),
    "drop_mid_utterance": Fault("breaks the connection (TCP reset) while somebody is speaking", once=True),
    "no_reply": Fault("hears and transcribes, but never answers"),
    # answering
    "drop_mid_reply": Fault("breaks the connection (TCP reset) halfway through a reply", once=True),
    "close_1011": Fault("closes with 1011 (internal error) halfway through a reply", once=True),
    "close_1008": Fault("closes with 1008 (policy violation) halfway through a reply", once=True),
    "stall_mid_reply": Fault("stops halfway through a reply for <amount> s", amount=3600),
    "slow_audio": Fault("sends replies at <amount> times real time", amount=0.5),
    "late_audio": Fault("sends <amount> ms more of the dead reply after an interruption", amount=400),
    "interrupt_storm": Fault(
        "sends <amount> interruptions at once halfway through a reply, which ends there", amount=300
    ),
    "token_expires": Fault("refuses the token after a reply, by a message or a close", once=True),
    "meeting_ends": Fault("ends the meeting after a reply: closes with 1000"),
    # LIKU alone: its HTTP steps, its connection data, what it marks
    "login_no_token": Fault("answers the login without a token", service="liku"),
    "token_expired": Fault("refuses the token by HTTP 401; another login gives a new one", once=True, service="liku"),
    "unknown_topic": Fault("refuses every topic by HTTP 400 with a detail", service="liku"),
    "plain_errors": Fault("puts no JSON into HTTP errors", service="liku"),
    "init_quoted": Fault(
        "sends the connection data as a JSON string and takes back only what is in it", service="liku"
    ),
    "init_object": Fault("sends the connection data in an object and takes back only what is in it", service="liku"),
    "close_4000": Fault("refuses good connection data", once=True, service="liku"),
    "close_1008_at_once": Fault("refuses the token when it has the connection data", once=True, service="liku"),
    "save_refused": Fault("refuses to keep the transcript by HTTP 401", once=True, service="liku"),
    "partials": Fault("sends what the user said unfinished first", service="liku"),
    "markers": Fault("puts marks for programs into the assistant's texts", service="liku"),
    # garbage
    "malformed_json": Fault("sends broken JSON before each reply"),
    "unknown_type": Fault("sends messages of unknown types before each reply"),
    "duplicate_text": Fault("sends the text of each reply three times, once as a transcript"),
    "odd_bytes": Fault("adds half a sample to each audio message"),
    "empty_audio": Fault("sends an empty audio message before each reply"),
    # ZeebeeAI: how it cuts its sound, what it complains about, how it looks after connections
    "wav_sound": Fault("sends sound as WAV", service="zeebee"),
    "one_piece": Fault("sends all sound in one piece", service="zeebee"),
    "pieces_padded": Fault("encodes each piece of sound by itself, with padding", service="zeebee"),
    "pieces_sliced": Fault("cuts the base64 text of the sound anywhere", service="zeebee"),
    "pieces_shuffled": Fault("sends pieces of sound in another order, counting from 1", service="zeebee"),
    "pieces_twice": Fault("sends every piece of sound twice", service="zeebee"),
    "piece_lost": Fault("leaves out the piece in the middle of the sound", service="zeebee"),
    "binary_sound": Fault("sends sound in binary messages", service="zeebee"),
    "wrong_total": Fault("announces half the number of pieces", service="zeebee"),
    "no_total": Fault("does not say how many pieces there are", service="zeebee"),
    "no_end": Fault("does not say where the sound ends", service="zeebee"),
    "old_names": Fault("calls transcript and response by their older names", service="zeebee"),
    "hears_nothing": Fault("says that no audio came", once=True, service="zeebee"),
    "refuses_sound": Fault("says that the audio's format is invalid", once=True, service="zeebee"),
    "stt_fails": Fault("cannot transcribe an utterance", once=True, service="zeebee"),
    "tts_fails": Fault("cannot speak an answer and says so by tts_error", once=True, service="zeebee"),
    "tts_fails_as_error": Fault("cannot speak an answer and says so by error", once=True, service="zeebee"),
    "unknown_user": Fault("does not know the user when an utterance comes", once=True, service="zeebee"),
    "unknown_error": Fault("complains about an utterance in words of its own", once=True, service="zeebee"),
    "reconnect_required": Fault("wants the box to reconnect after its first ping", once=True, service="zeebee"),
    "no_pings": Fault("sends no pings", service="zeebee"),
    "fast_clock": Fault("counts <amount> times 20 s between pings, and so on", amount=0.1, service="zeebee"),
    # NextEVI
    "http_status": Fault("answers the upgrade with HTTP <amount>", once=True, amount=429, service="nextevi"),
    "close_code": Fault("closes with <amount> after the settings", once=True, amount=4004, service="nextevi"),
    "config_gone": Fault("closes with 4004 in its other meaning: CONFIG_NOT_FOUND", service="nextevi"),
    "never_ready": Fault("never says that it is ready", service="nextevi"),
    "audio_failed": Fault("complains about the first piece of sound", once=True, service="nextevi"),
    "status_error": Fault("reports a state of error in the middle of a turn", service="nextevi"),
    "bare_pcm": Fault("sends sound as bare PCM, as the vendor's own clients expect it", service="nextevi"),
    "wav_16k": Fault("sends sound as WAV at 16 kHz", service="nextevi"),
    "bad_audio": Fault("sends broken base64 and broken WAV before each reply", service="nextevi"),
    "growing_text": Fault("sends the text of replies each time from its beginning", service="nextevi"),
    "undocumented": Fault("sends what only the vendor's own clients know", service="nextevi"),
}


def describe_faults() -> str:
    """The table for people, one line for each fault."""
    return "\n".join(_line(name, fault) for name, fault in FAULTS.items())


def _line(name: str, fault: Fault) -> str:
    amount = "" if fault.amount is None else f" (amount {fault.amount:g}: {name}=…)"
    service = f"{fault.service}: " if fault.service else ""
    return f"{name:22} {'once' if fault.once else 'always':7} {service}{fault.description}{amount}"


def applies(wanted: str, service: str) -> bool:
    """Whether this fault, as it was asked for, can happen to this service; one that is not in the table can."""
    fault = FAULTS.get(wanted.partition("=")[0])
    return fault is None or fault.service in ("", service)


class Faults:
    """The faults asked for, each as ``name`` or ``name=amount``. Raises ConfigError for what is not in the table."""

    def __init__(self, wanted: Iterable[str] = ()) -> None:
        self._amounts = dict(_parse(text) for text in wanted)
        self._waiting = set(self._amounts)

    def strikes(self, name: str) -> bool:
        """Whether this goes wrong now. Asking uses up a fault that strikes only once."""
        if name not in self._waiting:
            return False
        if FAULTS[name].once:
            self._waiting.remove(name)
        return True

    def amount(self, name: str, otherwise: float = 0.0) -> float:
        """The amount of a fault that was asked for, ``otherwise`` if it was not."""
        return self._amounts.get(name, otherwise)


def _parse(text: str) -> tuple[str, float]:
    name, _, given = text.partition("=")
    if name not in FAULTS:
        raise ConfigError(f"no fault is called {name!r}; there are: {', '.join(FAULTS)}")
    default = FAULTS[name].amount
    if not given:
        return name, default or 0.0
    try:
        amount = float(given)
    except ValueError:
        amount = -1.0
    if default is None or not 0 <= amount < float("inf"):
        raise ConfigError(
            f"fault {text!r}: " + ("takes no amount" if default is None else "the amount must be a number")
        )
    return name, amount
