"""What the end of a connection to NextEVI means: one table for HTTP statuses, one for close codes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from voicebox.core.events import Category, ServiceError, SessionEnded
from voicebox.services.base import Verdict, retry_after

DIAL_SPACING = 2.0  # seconds at least between two dials: 30 a minute, where 50 are allowed
LIMITED_WAIT = 30.0  # … after 4004
LIMITED_TIMES = 5  # times in a row that 4004 is redialled
POLICY_WAIT = 60.0  # … after 1008
CREDENTIAL = "; store another nextevi_api_key or nextevi_jwt"

_TRY_AGAIN = (408, 425, 429)
_LIMITED = "NextEVI has too many connections of this account (100 a minute, 10 at once; 50 a minute from one address)"
_NOT_A_LIMIT = re.compile(r"config|project|not.?found|auth|denied|permission", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _End:
    words: str
    category: Category | None = None

    def verdict(self, said: str) -> Verdict:
        text = f"{self.words} ({said})" if said else self.words
        return Verdict(retry=False, effects=(SessionEnded(text, self.category),))


_REFUSALS: dict[int, _End] = {
    400: _End("NextEVI cannot use these parameters: check nextevi.config_id and nextevi.project_id", Category.CONFIG),
    401: _End(f"NextEVI refused the credential{CREDENTIAL}", Category.AUTH),
    403: _End("NextEVI denies access: may this account use nextevi.config_id and nextevi.project_id?", Category.AUTH),
    404: _End("NextEVI does not know this address: check nextevi.url", Category.CONFIG),
}
_CLOSES: dict[int, _End] = {
    1000: _End("NextEVI has ended the session"),
    1002: _End("NextEVI finds our messages ill-formed (1002): try another nextevi.dialect", Category.PROTOCOL),
    1003: _End("NextEVI does not take this kind of data (1003): try another nextevi.uplink", Category.PROTOCOL),
    4001: _End(f"NextEVI refused the credential (4001){CREDENTIAL}", Category.AUTH),
    4002: _End("NextEVI does not know this configuration (4002): check nextevi.config_id", Category.CONFIG),
    4003: _End("NextEVI denies access (4003): may this account use nextevi.config_id?", Category.AUTH),
}
_UNKNOWN_4004 = _End(
    "NextEVI does not know this configuration or project (4004): check nextevi.config_id and nextevi.project_id",
    Category.CONFIG,
)


def refusal(status: int, headers: Mapping[str, str], said: str) -> Verdict:
    """The upgrade was answered with this status; ``said``: what else is known, for the owner."""
    if status in _REFUSALS or (400 <= status < 500 and status not in _TRY_AGAIN):
        other = _End(f"NextEVI refuses the connection with HTTP {status}: check nextevi.url", Category.CONFIG)
        return _REFUSALS.get(status, other).verdict(said)
    wait = max(DIAL_SPACING, retry_after(headers))  # below 400: a captive portal, not the service
    limited = (ServiceError(Category.RATE_LIMIT, "429", _explain("HTTP 429", said)),) if status == 429 else ()
    return Verdict(retry=True, server_side=True, retry_after=wait, effects=limited)


def _explain(code: str, said: str) -> str:
    return f"{_LIMITED}: {', '.join(filter(None, (code, said)))}"


class Closes:
    """Counts how often in a row we were told that we are too many."""

    def __init__(self) -> None:
        self._limited = 0

    def settled(self) -> None:
        """The service works with us again."""
        self._limited = 0

    def verdict(self, code: int, reason: str, said: str) -> Verdict:
        """The WebSocket was closed; ``said``: the reason and what else is known, for the owner."""
        if code == 4004:
            return self._too_many(reason, said)
        if code in _CLOSES or code >= 3000:
            other = _End(f"NextEVI closed the session with code {code}", Category.SERVER)
            return _CLOSES.get(code, other).verdict(said)
        wait = POLICY_WAIT if code == 1008 else DIAL_SPACING
        return Verdict(retry=True, server_side=code != 1006, retry_after=wait)

    def _too_many(self, reason: str, said: str) -> Verdict:
        """4004 is "rate limited" on one of the vendor's pages and "configuration not found" on another."""
        if _NOT_A_LIMIT.search(reason):
            return _UNKNOWN_4004.verdict(said)
        self._limited += 1
        if self._limited > LIMITED_TIMES:
            self._limited = 0
            return _End(f"{_LIMITED}, still, after {LIMITED_TIMES} more attempts (4004)", Category.RATE_LIMIT).verdict(
                said
            )
        limited = ServiceError(Category.RATE_LIMIT, "4004", _explain("4004", said))
        return Verdict(retry=True, server_side=True, retry_after=LIMITED_WAIT, effects=(limited,))
