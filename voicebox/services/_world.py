"""The only door in this room through which clock and chance come in. Adapters take both as arguments, so that tests can
give their own; these are what they get otherwise."""

import time
import uuid


def wall_clock() -> float:
    """Unix seconds."""
    return time.time()


def new_uuid() -> str:
    """A UUID v4."""
    return str(uuid.uuid4())
