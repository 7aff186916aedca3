"""What decodes sound does so in the unit's sandbox, too."""

import subprocess
import sys
from pathlib import Path

import pytest

from voicebox import assets

SPOKEN = sorted((Path(assets.__file__).parent / "sounds").rglob("*.ogg"))
DECODE = """
import ctypes, sys
from pathlib import Path
PR_SET_MDWE, NO_NEW_CODE, KERNEL_CANNOT = 65, 1, 77
if ctypes.CDLL(None).prctl(PR_SET_MDWE, NO_NEW_CODE, 0, 0, 0):
    sys.exit(KERNEL_CANNOT)
from voicebox.audio.decode import whole_file
print(len(whole_file(Path(sys.argv[1]).read_bytes(), 60.0)))
"""


@pytest.mark.parametrize("path", SPOKEN[:1], ids=lambda path: path.name)
def test_sound_is_decoded_where_no_memory_may_become_code(path: Path) -> None:
    """MemoryDenyWriteExecute=, by the kernel's own means (Linux 6.3 and later)."""
    done = subprocess.run(
        [sys.executable, "-c", DECODE, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode == 77:
        pytest.skip("this kernel cannot forbid it to one program")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 1000
