"""When to dial again after a connection failed or broke, and how to tell the owner why. Pure."""

import socket
import ssl

from voicebox.redact import redact

_LONGEST_EXPONENT = 16  # the delays have long reached their limit; a box that runs for a year must not overflow


def backoff(attempt: int, *, server_side: bool, retry_after: float, dice: float) -> float:
    """Seconds to wait before redialling; ``attempt`` counts from 0, ``dice`` is uniform in [0, 1).

    Our link went: quickly, U(0, 2 s), doubling to a minute. The service ended it: all its boxes will come back at once,
    so first spread over a minute, then 10 s and more.
    """
    doubled = 2.0 ** min(attempt, _LONGEST_EXPONENT)
    if not server_side:
        delay = dice * min(60.0, 2.0 * doubled)
    elif attempt == 0:
        delay = dice * 60.0
    else:
        delay = 10.0 + dice * min(120.0, 30.0 * doubled)
    return max(delay, retry_after)


def explain(error: Exception) -> str:
    """Why a connection failed, for the owner."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not valid: {error.verify_message} (is this box's clock right?)"
    if isinstance(error, socket.gaierror):
        return "the server's name cannot be resolved: no network, or a typing error in the url"
    if isinstance(error, ConnectionRefusedError):
        return "nobody answers at the server's address (connection refused)"
    if isinstance(error, OSError):
        return redact(error.strerror or str(error))
    return redact(str(error)) or type(error).__name__
