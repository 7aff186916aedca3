"""Whether this box's clock is to blame where a certificate's dates do not fit. A Pi has no clock that runs while it is
off: until the network has told it the time, it believes the hour of its last shutdown."""

import ssl
import time
from functools import lru_cache
from pathlib import Path

NOT_YET_VALID = 9
EXPIRED = 10
"""OpenSSL's verify codes."""

_TIMESYNC = Path("/run/systemd/timesync")  # there while systemd-timesyncd runs
_DAY = 86_400.0


def to_blame(error: Exception) -> bool:
    """Whether a connection failed because of our clock."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return False
    unset = _TIMESYNC.is_dir() and not (_TIMESYNC / "synchronized").exists()
    return is_wrong(error.verify_code, time.time(), _installed(), unset=unset)


def is_wrong(verify_code: int, now: float, installed: float, *, unset: bool) -> bool:
    """No server shows a certificate of the future: if it seems so, our clock is behind. One that has expired is more
    often the server's fault, unless our clock cannot be right or nobody has set it yet (``unset``). Unix seconds."""
    if verify_code == NOT_YET_VALID:
        return True
    return verify_code == EXPIRED and (unset or now < installed - _DAY)


@lru_cache(maxsize=1)
def _installed() -> float:
    """When the newest file of this program was written: no true clock shows less."""
    return max(path.stat().st_mtime for path in Path(__file__).parent.glob("*.py"))
