"""A day in the life of the installed daemon, in the virtual machine, as root: ``python -m tests.system.guest``.

Prints a line for each thing that had to happen, with the figure seen; the exit status is 1 if one of them did not.
What the recordings are compared with is computed here, by the same installed voicebox: another processor may round
differently.
"""

import re
import sys
import time
import wave
from contextlib import ExitStack
from pathlib import Path

from tests.system.bench import (
    BUTTON,
    LED,
    RATE,
    UNIT,
    Journal,
    Lamp,
    Line,
    Missing,
    Recorder,
    run,
    say,
    shown,
    tap,
)
from tests.system.recording import Match, Samples, match, sounds
from tests.system.report import Report
from voicebox import assets
from voicebox.audio.pcm import resample

PERIOD_MS = 20  # as voicebox.toml beside this file says
SOUND_LIMIT_MS = 2 * PERIOD_MS + 10
"""Of sound, in the card, after a flush: counted in samples, so an emulated processor makes no excuse."""
PRESS_LIMIT_MS = 400
"""From the finger to silence, by the clock: the emulated processor is 15 to 20 times slower than this machine's."""
FADE = 72
"""Samples in which a flush falls silent."""
PAUSE = RATE
"""Samples of silence between two replies; there is none so long within one."""
CARD = 2 * PERIOD_MS * RATE // 1000
"""Samples that the card holds. Where the emulated processor stands still for longer it runs dry; the loopback card then
loses, or plays again, what it had not yet passed on: that much each time, and nothing anywhere else."""
DRY_LIMIT = 0.15
"""How much silence that may put into a reply, as a part of its length."""
PULLS = 40
TOLD_LIMIT = 5.0
"""Seconds, the emulated processor's time to pull the card included; the daemon itself has 2 s."""
MOST_MORE_KB = 2_000
"""By which memory may grow in the second half of the pulls. In the first the heaps of new threads fill: some 6 MB."""
OUT = Path("/out")
"""Is carried out of the machine."""


class Day:
    """The parts of the day in their order; each checks what it saw."""

    def __init__(self, report: Report, stack: ExitStack) -> None:
        self._report = report
        self._check = report.check
        self._button = Line(BUTTON)
        self._journal = Journal()
        stack.callback(self._journal.close)
        self._lamp = Lamp()
        stack.callback(self._lamp.close)
        self._recorder: Recorder

    def install(self) -> None:
        """What systemd thinks of the unit."""
        verified = run("systemd-analyze", "verify", "--man=no", shown("FragmentPath")["FragmentPath"])
        complaints = verified.stdout + verified.stderr
        self._check(
            "systemd-analyze verify", verified.returncode == 0 and not complaints, complaints or "nothing to say"
        )
        score = run("systemd-analyze", "security", "--no-pager", UNIT).stdout.splitlines()[-1]
        self._report.tell("systemd-analyze security", score.strip("→ "))

    def start(self) -> None:
        begun = time.monotonic()
        started = run("systemctl", "start", UNIT)
        seconds = time.monotonic() - begun
        state = shown("ActiveState", "StatusText", "NRestarts")
        good = started.returncode == 0 and state["ActiveState"] == "active" and state["NRestarts"] == "0"
        self._check("systemctl start reaches READY", good, f"{seconds:.1f} s, {state['ActiveState']} {started.stderr}")
        if not good:
            raise Missing("a running daemon")
        self._check("systemctl status", "waiting for the button" in state["StatusText"], f'"{state["StatusText"]}"')

    def idle(self) -> None:
        begun = time.monotonic()
        self._recorder = Recorder()
        self._recorder.listen(1.0)
        lit, _, looks = self._lamp.seen(begun, time.monotonic())
        self._check("LED dark in idle", lit == 0 and looks > 50, f"lit in {lit:.0%} of {looks} looks")

    def press(self) -> None:
        """A tap opens the conversation; the LED moves while it connects and shines while it listens."""
        mark = len(self._journal.records)
        pressed = tap(self._button)
        connecting = self._journal.wait_for_phase("connecting", "ButtonPressed", after=mark)
        listening = self._journal.wait_for_phase("listening", "SessionReady", after=mark)
        dialled, up = ((moment - pressed) * 1000 for moment in (connecting, listening))
        seen = f"connecting after {dialled:.0f} ms, listening after {up:.0f} ms"
        self._check("button opens a conversation", pressed < connecting < listening, seen)
        self._recorder.listen(1.0)
        lit, _, looks = self._lamp.seen(time.monotonic() - 0.5, time.monotonic())
        self._check("LED lit while listening", lit == 1 and looks > 25, f"lit in {lit:.0%} of {looks} looks")

    def ask(self, speech: str) -> float:
        """Speak; returns when the box began to speak itself."""
        mark = len(self._journal.records)
        say(speech)
        said = time.monotonic()
        thinking = self._journal.wait_for_phase("thinking", "Transcript", after=mark)
        speaking = self._journal.wait_for_phase("speaking", "ReplyAudio", after=mark)
        seen = f"transcript {thinking - said:+.2f} s and reply {speaking - said:+.2f} s from the end of {speech}.wav"
        self._check("speech is understood and answered", thinking <= speaking, seen)
        return speaking

    def interrupt(self, speaking: float) -> None:
        """Press in mid-reply."""
        self._recorder.wait_for_sound(4.0)
        lit, changes, looks = self._lamp.seen(speaking + 1.0, time.monotonic())
        self._check("LED moves while it speaks", changes > 20, f"{changes} changes in {looks} looks, lit in {lit:.0%}")
        mark = len(self._journal.records)
        self._pressed = tap(self._button)
        listening = self._journal.wait_for_phase("listening", "ButtonPressed", after=mark)
        seen = f"listening again {(listening - self._pressed) * 1000:.0f} ms after the press"
        self._check("button interrupts the reply", True, seen)
        self._recorder.listen(2.0)
        said = [str(r["MESSAGE"]) for r in self._journal.records[mark:] if r.get("VOICEBOX_INTERRUPTION") == "button"]
        logged = re.search(r"after (\d+) ms .* silent within (\d+) ms", said[0]) if said else None
        good = logged is not None and int(logged[2]) <= SOUND_LIMIT_MS
        self._check(f"it says so, and silence within {SOUND_LIMIT_MS} ms", good, said[0] if said else "no such line")
        self._played_ms = int(logged[1]) if logged else 0

    def hear_out(self) -> None:
        mark = len(self._journal.records)
        begun = time.monotonic()
        self._journal.wait_for_phase("listening", "SpeakerDrained", after=mark, seconds=60)
        self._check(
            "the next reply plays to its end", True, f"drained {time.monotonic() - begun:.1f} s after its beginning"
        )
        self._recorder.listen(0.5)

    def end(self) -> None:
        mark = len(self._journal.records)
        tap(self._button)
        self._journal.wait_for_phase("idle", "ButtonTapped", after=mark)
        self._check("a tap ends the conversation", True, shown("StatusText")["StatusText"])
        self._recorder.listen(1.5)
        lit, _, looks = self._lamp.seen(time.monotonic() - 1.0, time.monotonic())
        self._check("LED dark again", lit == 0 and looks > 50, f"lit in {lit:.0%} of {looks} looks")

    def compare(self) -> None:
        """What the speaker's other end has recorded, against what was sent."""
        heard = self._recorder.samples()
        complaints = self._recorder.close()
        self._check("the recorder lost nothing", not complaints, complaints or f"{heard.size / RATE:.1f} s recorded")
        save(heard)
        times, worst = self._lamp.standstills()
        self._report.tell("the machine itself stood still", f"{times} times for 10 ms or more, {worst:.0f} ms at worst")
        found = sounds(heard, PAUSE)
        self._check("two replies in the recording", len(found) == 2, f"{len(found)} stretches of sound")
        if len(found) == 2:
            self._cut_reply(heard[: found[0][1] + PAUSE])
            self._whole_reply(heard[found[1][0] - PAUSE // 2 :])

    def _cut_reply(self, heard: Samples) -> None:
        sent = reply("answer")
        found = match(heard, sent)
        good = sound_but_for_dry_places(found) and found.end > 2 * RATE and not sent[: found.begin].any()
        self._check("reply 1 heard up to the press", good, account(found))
        good = found.tail <= FADE and 1000 * found.end / RATE - self._played_ms <= SOUND_LIMIT_MS
        seen = (
            f"cut at {1000 * found.end / RATE:.0f} ms of the reply, {found.tail} samples of fade, then digital silence"
        )
        self._check("nothing stale after the cut", good, seen)
        late = (found.last + 1 - self._recorder.index(self._pressed)) * 1000 / RATE
        self._check(
            f"silent within {PRESS_LIMIT_MS} ms of the press", late <= PRESS_LIMIT_MS, f"{late:.0f} ms by the clock"
        )

    def _whole_reply(self, heard: Samples) -> None:
        sent = reply("answer2")
        found = match(heard, sent)
        ends_are_there = not sent[: found.begin].any() and not sent[found.end :].any()
        good = sound_but_for_dry_places(found) and found.tail == 0 and ends_are_there
        self._check("reply 2 heard from its beginning to its end", good, account(found))

    def replug(self) -> None:
        """Each card is pulled out and plugged in again, many times: the daemon finds it without help."""
        before, told, back, memory = self._holdings(), [], [], []
        for _ in range(PULLS // 2):
            memory.append(self._holdings()["VmRSS"])
            for card, kind in (("MicLoop", "microphone"), ("SpkLoop", "speaker")):
                told.append(self._pull(card, kind))
                back.append(self._plug_in(card))
        after = self._holdings()
        state = shown("ActiveState", "NRestarts", "StatusText")
        seen = f"told after {max(told):.1f} s at most, back after {max(back):.1f} s at most"
        self._check(f"cards pulled {PULLS} times are found again", max(told) < TOLD_LIMIT, seen)
        self._check("… without a restart", (state["ActiveState"], state["NRestarts"]) == ("active", "0"), str(state))
        more = after["VmRSS"] - memory[len(memory) // 2]
        seen = f"files {before['fd']} → {after['fd']}, threads {before['Threads']} → {after['Threads']}"
        seen += f", {after['VmRSS'] - before['VmRSS']:+d} kB, of that {more:+d} in the second half"
        good = after["fd"] <= before["fd"] and after["Threads"] <= before["Threads"] and more < MOST_MORE_KB
        self._check("… and nothing is left of it", good, seen)

    def _pull(self, card: str, kind: str) -> float:
        """Seconds until the journal says so."""
        mark, pulled = len(self._journal.records), time.monotonic()
        run("rig-sound", "unplug", card)  # returns when the daemon has closed it
        return self._journal.wait_for_message(f"no {kind}: ", after=mark) - pulled

    def _plug_in(self, card: str) -> float:
        """Seconds until it works again."""
        mark = len(self._journal.records)
        run("rig-sound", "replug", card)
        plugged = time.monotonic()
        return self._journal.wait_for_message("fault is over", after=mark) - plugged

    def _holdings(self) -> dict[str, int]:
        """What the daemon's process has: open files, threads, memory in kB."""
        process = Path("/proc", shown("MainPID")["MainPID"])
        lines = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        numbers = {name: int(lines[name].split()[0]) for name in ("Threads", "VmRSS")}
        return {"fd": len(list((process / "fd").iterdir())), **numbers}

    def stop(self, when: str) -> None:
        mark = len(self._journal.records)
        user, lines = shown("User")["User"], [Line(LED), self._button]
        held = all(line.used for line in lines)
        begun = time.monotonic()
        run("systemctl", "stop", UNIT)
        seconds = time.monotonic() - begun
        state = shown("ActiveState", "Result", "ExecMainStatus")
        self._check(f"systemctl stop {when} takes less than 2 s", seconds < 2, f"{seconds:.2f} s")
        clean = (state["ActiveState"], state["Result"], state["ExecMainStatus"]) == ("inactive", "success", "0")
        self._check(
            "it ended cleanly", clean, f"{state['ActiveState']}, {state['Result']}, status {state['ExecMainStatus']}"
        )
        left = run("pgrep", "-a", "-u", user).stdout.strip()
        self._check("nothing left running", not left, left or "no process")
        free = held and not any(line.used for line in lines) and not lines[0].lit
        seen = "free and low" if free else "still held, or lit" if held else "they were never held"
        self._check("pins given back, LED dark", free, seen)
        self._journal.wait(
            lambda: any("Stopped" in str(r.get("MESSAGE")) for r in self._journal.records[mark:]), 10, "journal"
        )

    def complaints(self) -> None:
        unexpected = [r for r in self._journal.records if r.get("VOICEBOX_EVENT") != "DeviceLost"]
        bad = [r for r in unexpected if int(r.get("PRIORITY", 6)) <= 4 or "Traceback" in str(r.get("MESSAGE"))]
        self._check(
            "no other warning, error or traceback in the journal",
            not bad,
            "; ".join(str(r["MESSAGE"]) for r in bad) or "none",
        )

    def figures(self) -> None:
        seen = shown("MemoryCurrent", "CPUUsageNSec", "TasksCurrent", "TasksMax")
        self._report.tell("threads and processes of the unit", f"{seen['TasksCurrent']} of {seen['TasksMax']}")
        self._report.tell("memory of the unit", f"{int(seen['MemoryCurrent']) / 1e6:.0f} MB")
        self._report.tell("processor time so far", f"{int(seen['CPUUsageNSec']) / 1e9:.0f} s")


def reply(name: str) -> Samples:
    """An answer of the simulator's talker as it was sent."""
    return resample(assets.speech(name), assets.RATE, RATE)


def save(heard: Samples) -> None:
    """For whoever wants to listen."""
    with wave.open(str(OUT / "speaker.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(heard.tobytes())


def sound_but_for_dry_places(found: Match) -> bool:
    """Every sample is there, in its order and unchanged, but for what the loopback card does where it runs dry."""
    dry = [gap for gap in found.gaps if gap]
    return found.missing + found.altered <= CARD * len(dry) and sum(dry) <= DRY_LIMIT * found.end


def account(found: Match) -> str:
    gaps = [gap * 1000 // RATE for gap in found.gaps]
    dry = f"; the card ran dry {len(gaps)} times, {sum(gaps)} ms in all, {max(gaps)} ms at most" if gaps else ""
    return f"{found.heard / RATE:.2f} s, {found.missing} samples missing, {found.altered} altered{dry}"


def live(day: Day) -> None:
    day.install()
    day.start()
    day.idle()
    day.press()
    day.interrupt(day.ask("ask_time"))
    day.ask("cut_in")
    day.hear_out()
    day.end()
    day.figures()
    day.stop("in idle")
    day.compare()
    day.start()
    day.replug()
    day.stop("after that")
    day.start()
    day.idle()
    day.press()
    day.ask("ask_time")
    day.stop("in mid-reply")
    day.complaints()


def main() -> int:
    report = Report()
    with ExitStack() as stack:
        try:
            live(Day(report, stack))
        except Missing as missing:
            report.check("the day goes on", False, str(missing))
    journal = run("journalctl", "--no-pager", "--output=short-monotonic", "--no-hostname", f"--unit={UNIT}").stdout
    (OUT / "journal.txt").write_text(journal)
    print(f"\n{journal}")
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
