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
    "token_expires": Fault("refuses the token by an error message after a reply", once=True),
    "meeting_ends": Fault("ends the meeting after a reply: closes with 1000"),
    # garbage
    "malformed_json": Fault("sends broken JSON before each reply"),
    "unknown_type": Fault("sends messages of unknown types before each reply"),
    "duplicate_text": Fault("sends the text of each reply three times, once as a transcript"),
    "odd_bytes": Fault("adds half a sample to each audio message"),
    "empty_audio": Fault("sends an empty audio message before each reply"),
}


def describe_faults() -> str:
    """The table for people, one line for each fault."""
    return "\n".join(_line(name, fault) for name, fault in FAULTS.items())


def _line(name: str, fault: Fault) -> str:
    amount = "" if fault.amount is None else f" (amount {fault.amount:g}: {name}=…)"
    service = f"{fault.service}: " if fault.service else ""
    return f"{name:22} {'once' if fault.once else 'always':7} {service}{fault.description}{amount}"


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
