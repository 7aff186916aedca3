"""One line for each thing that has to happen, with what was seen."""


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
