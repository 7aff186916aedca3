"""The networks' engine, as it is loaded by the box."""

import os
import subprocess
import sys
from pathlib import Path

OPEN = """
from voicebox import onnx
onnx.open_network(onnx.packaged() / "melspectrogram.onnx", "test")
"""


def test_nothing_is_reported_to_its_maker(tmp_path: Path) -> None:
    """Where it reports, it first writes an identifier of the machine into the home directory."""
    quiet = {
        "CI",
        "ORT_DISABLE_TELEMETRY",
        "ORT_RUNNING_UNIT_TESTS",
        "XDG_CACHE_HOME",
    }  # it reports nothing under these
    environ = {name: value for name, value in os.environ.items() if name not in quiet}
    environ |= {"HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parent.parent)}
    subprocess.run([sys.executable, "-c", OPEN], env=environ, timeout=60, check=True)
    assert list(tmp_path.iterdir()) == []
