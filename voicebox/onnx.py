"""Neural networks from ONNX files: the only importer of onnxruntime, and where the package openwakeword keeps its own.

That package is only located, never imported: importing it brings scipy and scikit-learn, 150 MB for nothing.
"""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from voicebox.errors import ConfigError


class Network(Protocol):
    """What is used of onnxruntime.InferenceSession."""

    def get_inputs(self) -> list[Any]: ...

    def get_outputs(self) -> list[Any]: ...

    def run(self, outputs: None, inputs: dict[str, NDArray[Any]]) -> list[NDArray[np.float32]]: ...


def packaged() -> Path:
    """The folder of the networks that the package openwakeword carries. Raises ConfigError where it is missing."""
    spec = importlib.util.find_spec("openwakeword")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("the package openwakeword is missing; mend it with: pip install openwakeword==0.4.0")
    return Path(spec.submodule_search_locations[0]) / "resources" / "models"


def open_network(path: Path, purpose: str, changed: Callable[[bytes], bytes] | None = None) -> Network:
    """Ready to run. ``changed``: another network made of what is in the file. Raises ConfigError, which names the
    ``purpose`` ("wake word"), where it cannot be used."""
    try:
        with path.open("rb") as file:
            model = changed(file.read()) if changed else str(path)
    except OSError as error:
        raise ConfigError(f"{purpose} model {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{purpose} model {path} cannot be used: {error}") from error
    try:
        return _session(model)
    except ImportError as error:
        raise ConfigError(f"the {purpose} needs onnxruntime: {error}; mend it with: pip install onnxruntime") from error
    except Exception as error:  # onnxruntime's errors have no base of their own
        raise ConfigError(f"{purpose} model {path} is not a usable ONNX file") from error


def _session(model: str | bytes) -> Network:
    """Small and quiet: no threads of its own, no memory held back."""
    # From 1.29 on it writes, once loaded, an identifier of the machine into the home directory and reports to
    # its maker. Its own disable_telemetry_events() comes too late for that.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # noqa: PLC0415  # 37 MB that a box without networks need not spend

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = 4  # what goes wrong is raised as well
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    network: Network = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return network
