"""Runs the steps, each in a process of its own, within a time limit.

An illegal address makes a process useless for CUDA, and a kernel that never ends cannot be stopped in it: what a step
finds, it writes line by line, and where it ends before its time, another process goes on behind the case that it was
at. What is found is written to the results every few seconds: whatever ends the run leaves them.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import hashlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .results import FORMAT, VERSION, CaseResult, Results, StepResult, text_of, write
from .steps import DONE, MISSING, OVER, POISONED, STEPS, Step

__all__ = ["main"]

START_LIMIT = 120.0
"""Seconds that a process may take until its first case: it loads PyTorch."""

MOST_PROCESSES = 8
"""Of one step: one that crashes at every case must not take the time of all."""

MOST_STARTS = 2
"""Processes of one step that end before their first case, one after the other."""

LAST_CASE = 30.0
"""Seconds that the last case of a step may take beyond the step's end."""

END_LIMIT = 15.0
"""Seconds that a process may take to end when it is killed."""

LEAST = 3.0
"""Seconds in which no process gets anywhere."""

SAVED_EVERY = 5.0
"""Seconds."""

STOPPED = 130
"""The exit status of a run that was stopped from outside."""

BAD = ("wrong", "failed", "crashed", "hung")
"""States of cases that are a step's, too, the worst last."""


class Lines:
    """What a process writes, as far as it has written whole lines."""

    def __init__(self, file: Path, result: StepResult) -> None:
        """``result`` takes cases, and what is lacking."""
        self._file, self._result, self._read = file, result, 0
        self.open_case: str | None = None
        self.begun = False
        """Whether there was a line."""

    def take(self) -> bool:
        """Reads on; whether there was something new."""
        with self._file.open("rb") as lines:
            lines.seek(self._read)
            whole = lines.read().rpartition(b"\n")
        fresh = whole[0] + whole[1]
        self._read += len(fresh)
        for line in fresh.splitlines():
            self._take_line(json.loads(line))
        return len(fresh) > 0

    def _take_line(self, entry: dict[str, Any]) -> None:
        self.begun = True
        if "lacking" in entry:
            self._result["lacking"] = entry["lacking"]
        elif "begin" in entry:
            self.open_case = entry["begin"]
        else:
            found: CaseResult = entry["case"]
            self._result["cases"].append(found)
            self.open_case = None


class StepRun:
    """One step under way."""

    def __init__(self, folder: Path, step: Step, limit: float, arguments: argparse.Namespace) -> None:
        """``limit`` is in seconds."""
        self.folder, self.step, self.arguments = folder, step, arguments
        self.begin = time.monotonic()
        self.end = self.begin + limit
        self.done = 0
        """Cases that no process has to begin again."""
        self.result: StepResult = {
            "name": step.name,
            "title": step.title,
            "status": "unfinished",
            "lacking": None,
            "seconds": 0.0,
            "limit": limit,
            "cases": [],
        }

    def run(self, last: float, save: Callable[[], object]) -> None:
        """Runs it to its end, or to that of its time.

        Args:
            last: When no process may go on any more, on the monotonic clock.
            save: Is called every few seconds.
        """
        code: int | None = POISONED
        starts = 0
        try:
            for _ in range(MOST_PROCESSES):
                code, begun = self._process(last, save)
                starts = 0 if begun else starts + 1
                if code in (DONE, MISSING, OVER) or time.monotonic() >= self.end or starts == MOST_STARTS:
                    break
        except OSError as problem:
            self._add("start", "failed", f"{type(problem).__name__}: {problem}")
        finally:
            self.result["seconds"] = time.monotonic() - self.begin
            self._judge(code)

    def _judge(self, code: int | None) -> None:
        states = {case["status"] for case in self.result["cases"]}
        bad = [each for each in BAD if each in states]
        if code == MISSING:
            self.result["status"] = "missing"
        elif bad:
            self.result["status"] = bad[-1]
        else:
            self.result["status"] = "passed" if code == DONE else "unfinished"

    def _process(self, last: float, save: Callable[[], object]) -> tuple[int | None, bool]:
        """One process of the step, behind the cases that are done: its exit status, and whether it began a case."""
        with tempfile.TemporaryDirectory() as scratch:
            file, log = Path(scratch) / "lines", Path(scratch) / "log"
            file.touch()
            command = [sys.executable, "-m", "kit.worker", self.step.name, "--lines", str(file)]
            command += ["--skip", str(self.done), "--seconds", str(max(self.end - time.monotonic(), 1))]
            command += ["--seed", str(self.arguments.seed), "--device", self.arguments.device]
            lines = Lines(file, self.result)
            before = len(self.result["cases"])
            with log.open("wb") as said:
                # A session of its own: what it starts is stopped with it.
                process = subprocess.Popen(
                    command, cwd=self.folder, stdout=said, stderr=said, stdin=subprocess.DEVNULL, start_new_session=True
                )
                try:
                    stopped = self._watch(process, lines, last, save)
                finally:
                    _kill(process)
            lines.take()
            self.done += len(self.result["cases"]) - before
            code = process.returncode
            if stopped is None and code in (DONE, MISSING, OVER, POISONED):
                return code, lines.begun
            said_last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-8:]
            if lines.open_case is not None:
                status, ended = stopped or ("crashed", f"its process ended with {code}")
                self._add(lines.open_case, status, "\n".join([ended, *said_last]))
                self.done += 1
            elif stopped is None:
                self._add("start", "crashed", "\n".join([f"its process ended with {code}", *said_last]))
            return code if stopped is None else None, lines.begun

    def _add(self, name: str, status: str, reason: str) -> None:
        self.result["cases"].append({"name": name, "status": status, "reason": reason})

    def _watch(
        self, process: subprocess.Popen[bytes], lines: Lines, last: float, save: Callable[[], object]
    ) -> tuple[str, str] | None:
        """Waits for the end of a process; where it had to be stopped, the state of its case, and why."""
        since, limit, saved = time.monotonic(), START_LIMIT, time.monotonic()
        # Workers begin no case after the step's end, and the last one may take a while.
        end = min(self.end + min(self.step.case_limit, LAST_CASE), last)
        while process.poll() is None:
            time.sleep(0.05)
            now = time.monotonic()
            if lines.take():
                since, limit = now, self.step.case_limit
            if now - saved >= SAVED_EVERY:
                saved = now
                self.result["seconds"] = now - self.begin
                save()
            if now - since > limit:
                return "hung", "it took too long and was stopped"
            if now > end:
                return "skipped", "the step's time was over"
        return None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and all that it started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        process.kill()
    # One whose kernel the driver cannot stop never ends: the others go on without it.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=END_LIMIT)


def main(folder: Path, given: Sequence[str] | None = None) -> None:
    """Runs the kit in a folder.

    Ends with 0 if all is well, 1 if something is wrong, 3 if the GPU's part is missing, 130 where it was stopped.
    """
    for stream in (sys.stdout, sys.stderr):
        # What terminals cannot show must not end the run.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    for stop in _stops():
        # As Ctrl-C: what was found is kept. nohup's processes go on.
        if signal.getsignal(stop) != signal.SIG_IGN:
            signal.signal(stop, signal.default_int_handler)
    arguments = _arguments(given)
    begin = time.monotonic()
    out = Path(arguments.out).absolute()
    try:
        _make_way(out)
        _find_cache()
        folder = _unpacked(folder)
        manifest: dict[str, Any] = json.loads((folder / "kit.json").read_text(encoding="utf-8"))
        kit = {name: manifest[name] for name in ("mtac", "made", "packages", "timing", "candidates", "cubins")}
    except (OSError, ValueError, KeyError, tarfile.TarError) as problem:
        sys.exit(f"the kit cannot run here: {type(problem).__name__}: {problem}")
    results: Results = {
        "format": FORMAT,
        "version": VERSION,
        "kit": kit,
        "began": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "minutes": arguments.minutes,
        "seed": arguments.seed,
        "finished": False,
        "steps": [],
    }
    print(f"seed {arguments.seed}; results go to {out}", flush=True)
    try:
        _run_steps(folder, arguments, begin + 60 * arguments.minutes, results, out)
        results["finished"] = True
        status = _exit_status(results)
    except KeyboardInterrupt:
        print("stopped", flush=True)
        status = STOPPED
    # Ctrl-C again must not lose what is written now.
    for stop in _stops():
        signal.signal(stop, signal.SIG_IGN)
    _save_last(out, results)
    sys.exit(status)


def _stops() -> list[signal.Signals]:
    """Signals that stop a run."""
    return [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__]


def _run_steps(folder: Path, arguments: argparse.Namespace, end: float, results: Results, out: Path) -> None:
    # Without the first step nobody knows which device the others were on.
    wanted = [*STEPS] if arguments.only is None else [*STEPS[:1], *_named(arguments.only)]
    steps = [step for step in STEPS if step in wanted]
    for number, step in enumerate(steps):
        shares = sum(each.share for each in steps[number:])
        left = end - time.monotonic()
        limit = max(left * step.share / shares, step.least)
        run = StepRun(folder, step, limit, arguments)
        results["steps"].append(run.result)
        if max(left, step.least) >= LEAST:
            run.run(max(end, run.begin + step.least) + LAST_CASE / 2, lambda: _save(out, results))
        _save(out, results)
        print(_line(run.result), flush=True)


def _named(only: str) -> list[Step]:
    names = only.split(",")
    return [step for step in STEPS if step.name in names]


def _make_way(out: Path) -> None:
    """Keeps the results of an earlier run, and shows before all else that results can be written."""
    if out.exists() and not out.is_file():
        raise ValueError(f"--out {out} is no file")
    if out.exists():
        number = 1
        while (kept := out.with_name(f"{out.stem}-{number}{out.suffix}")).exists():
            number += 1
        out.rename(kept)
        print(f"the results of an earlier run are now {kept}", flush=True)
    trial = out.with_name(f"{out.name}.new")
    trial.write_text("")
    trial.unlink()


def _save(out: Path, results: Results) -> bool:
    try:
        write(out, results)
    except OSError as problem:
        print(f"results could not be written: {problem}", flush=True)
        return False
    return True


def _save_last(out: Path, results: Results) -> None:
    """Where the results cannot be written to their place, they go to another one, or into the output."""
    other = Path(tempfile.gettempdir()) / "mtac-gpu-kit-results.json"
    if _save(out, results):
        return
    if _save(other, results):
        print(f"results are in {other}", flush=True)
        return
    print(text_of(results), flush=True)


def _unpacked(folder: Path) -> Path:
    """The kit with its packages unpacked: where it lies, or, where nothing can be written, in another folder."""
    try:
        trial = folder / ".trial"
        trial.write_text("")
        trial.unlink()
    except OSError:
        place = _scratch() / "kit"
        shutil.copytree(folder, place, ignore=shutil.ignore_patterns("packages"))
        place.chmod(0o755)
        folder = place
    unpack(folder)
    return folder


def _find_cache() -> None:
    """Kernels that are compiled here go to a temporary folder where the user's cache cannot be written."""
    try:
        place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except (OSError, RuntimeError):
        os.environ["XDG_CACHE_HOME"] = str(_scratch())


def _scratch() -> Path:
    """A folder that goes with this process."""
    place = tempfile.mkdtemp(prefix="mtac-gpu-kit-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return Path(place)


def unpack(folder: Path) -> None:
    """Unpacks the emitted packages beside their archive; what was unpacked of the same archive is taken as it is."""
    archive, target = folder / "packages.tar.gz", folder / "packages"
    if not archive.exists():
        return
    digest, made_of = hashlib.sha256(archive.read_bytes()).hexdigest(), target / ".archive"
    if made_of.exists() and made_of.read_text(encoding="utf-8") == digest:
        return
    beside = folder / "packages.new"
    for old in (beside, target):
        shutil.rmtree(old, ignore_errors=True)
    with tarfile.open(archive) as files:
        if hasattr(tarfile, "data_filter"):
            files.extractall(beside, filter="data")
        else:
            files.extractall(beside)
    (beside / ".archive").write_text(digest, encoding="utf-8")
    os.replace(beside, target)


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py", description="Checks and times what mtac emitted on this machine.")
    parser.add_argument("--minutes", type=float, default=8, help="to be done within (default: 8)")
    parser.add_argument("--out", default="results.json", help="where results go (default: results.json)")
    parser.add_argument("--seed", type=int, default=None, help="of random calls (default: another one each time)")
    parser.add_argument(
        "--only",
        default=None,
        metavar="STEP,STEP",
        help=f"{', '.join(step.name for step in STEPS)}; {STEPS[0].name} is always done",
    )
    parser.add_argument("--device", choices=("auto", "cpu"), default="auto", help="cpu: as if there were no GPU")
    arguments = parser.parse_args(given)
    if not (math.isfinite(arguments.minutes) and arguments.minutes > 0):
        parser.error("--minutes must be a positive number")
    known = {step.name for step in STEPS}
    for name in [] if arguments.only is None else arguments.only.split(","):
        if name not in known:
            parser.error(f"there is no step {name}")
    if arguments.seed is None:
        arguments.seed = int.from_bytes(os.urandom(3), "little")
    if not 0 <= arguments.seed < 2**32:
        parser.error("--seed must be from 0 to 4294967295")
    return arguments


def _line(step: StepResult) -> str:
    counts: dict[str, int] = {}
    for case in step["cases"]:
        counts[case["status"]] = counts.get(case["status"], 0) + 1
    cases = ", ".join(f"{count} {status}" for status, count in counts.items())
    tail = f" ({step['lacking']})" if step["lacking"] else ""
    return f"{step['status']:>10}  {step['name']:<17} {step['seconds']:6.1f} s  {cases}{tail}"


def _exit_status(results: Results) -> int:
    states = {step["status"] for step in results["steps"]}
    if states & {*BAD}:
        return 1
    return MISSING if "missing" in states else 0
