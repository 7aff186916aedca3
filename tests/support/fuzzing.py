"""``python -m tests.support.fuzzing TARGET SECONDS``: what atheris finds goes to tests/corpus/TARGET/."""

import importlib
import logging
import sys
import tempfile


def main(target: str, seconds: int) -> None:
    atheris = importlib.import_module("atheris")  # only whoever fuzzes has it
    with atheris.instrument_imports(include=["voicebox"]):
        fuzz = importlib.import_module("tests.support.fuzz")
    logging.disable()
    seeds = fuzz.CORPUS / target
    with tempfile.TemporaryDirectory() as fresh:
        options = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=5", f"-artifact_prefix={seeds}/"]
        atheris.Setup([sys.argv[0], *options, "-rss_limit_mb=2048", fresh, str(seeds)], fuzz.targets()[target])
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
