"""SECURITY.md keeps its word: what it says is tested is; and what is said of our dependencies is so."""

import hashlib
import json
import re
import zipfile
from pathlib import Path

import pytest

from tests.support import scripts

ROOT = Path(__file__).parent.parent
NAMED = re.findall(r"`([\w/]+\.py)::(test_\w+)`", (ROOT / "SECURITY.md").read_text(encoding="utf-8"))


def test_every_line_of_defence_names_its_tests() -> None:
    rows = [line for line in (ROOT / "SECURITY.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    attacks = [row for row in rows if not row.startswith("| attack ")]
    assert len(attacks) > 20
    assert [row for row in attacks if "::test_" not in row and not row.endswith("| – |")] == []


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)))
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    assert re.search(rf"^def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)


# --- the bill of materials -----------------------------------------------------------------------------------------


SBOM = scripts.load("sbom")


def wheel(directory: Path, name: str, version: str, *more: str) -> Path:
    path = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *more, "", "A text."]
        archive.writestr(f"{name}-{version}.dist-info/METADATA", "\n".join(lines))
    return path


def test_each_wheel_is_in_the_bill_with_its_licence_and_hash(tmp_path: Path) -> None:
    wheel(tmp_path, "voicebox", "0.1.0", "License-Expression: Apache-2.0")
    other = wheel(tmp_path, "Some_Thing", "2.0", "License: X", "Classifier: License :: OSI Approved :: MIT License")
    wheel(tmp_path, "third", "3", "License: many\n  lines", "Classifier: License :: OSI Approved :: MIT License")
    bill = SBOM.bill(tmp_path)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert bill["metadata"]["component"]["licenses"] == [{"expression": "Apache-2.0"}]
    some, third = bill["components"]
    assert some["purl"] == "pkg:pypi/some-thing@2.0"
    assert some["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(other.read_bytes()).hexdigest()}]
    assert some["licenses"] == [{"license": {"name": "X"}}]
    assert third["licenses"] == [{"license": {"name": "MIT License"}}]
    assert json.dumps(bill) == json.dumps(SBOM.bill(tmp_path)), "the same wheels give the same bill"


def test_what_is_no_set_of_wheels_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds 0 wheels of voicebox"):
        SBOM.bill(tmp_path)
    (tmp_path / "a-1-py3-none-any.whl").write_bytes(b"no zip")
    with pytest.raises(ValueError, match="is no wheel"):
        SBOM.bill(tmp_path)
