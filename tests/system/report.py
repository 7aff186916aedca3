"""One line for each thing that has to happen, with what was seen."""

import subprocess
from collections.abc import Callable


class Report:
    def __init__(self) -> None:
        self.failed = 0

    def check(self, what: str, good: bool, seen: str) -> None:
        self.failed += not good
        print(f"{'ok    ' if good else 'FAILED'}  {what}: {seen}", flush=True)

    def tell(self, what: str, text: str) -> None:
        print(f"        {what}: {text}", flush=True)

    def end(self) -> int:
        """The exit status."""
        print(f"{self.failed} things were not as they should be" if self.failed else "all of it happened", flush=True)
        return 1 if self.failed else 0


def go_through(parts: str, check: Callable[[Report], object]) -> int:
    """The parts of a check, which are its methods' names, in their order; one that fails does not keep the others from
    being tried. Returns the exit status."""
    report = Report()
    all_of_them = check(report)
    for part in parts.split():
        try:
            getattr(all_of_them, part)()
        except (OSError, subprocess.SubprocessError, LookupError, ValueError) as error:
            report.check(part, False, repr(error))
    return report.end()
