"""Scripts without a suffix, loaded as modules."""

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]


def load(name: str) -> ModuleType:
    """scripts/``name``, which leaves neither bytecode beside itself nor a path to look for modules."""
    loader = SourceFileLoader(name.replace("-", "_"), str(ROOT / "scripts" / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    with mock.patch.object(sys, "path", [*sys.path]), mock.patch.object(sys, "dont_write_bytecode", True):
        loader.exec_module(module)
    return module
