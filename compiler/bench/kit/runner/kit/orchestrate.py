"""Runs the steps, each in a process of its own, within a time limit.

An illegal address makes a process useless for CUDA, and a kernel that never ends cannot be stopped in it: what a step
finds, it writes line by line, and where it ends before its time, another process goes on behind the case that it was
at.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .results import FORMAT, VERSION, CaseResult, Results, StepResult, write
from .steps import DONE, MISSING, OVER, POISONED, STEPS, Step

__all__ = ["main"]

START_LIMIT = 120.0
"""Seconds that a process may take until its first case: it loads PyTorch."""

MOST_PROCESSES = 8
"""Of one step: one that crashes at every case must not take the time of all."""

BAD = ("wrong", "failed", "crashed", "hung")
"""States of cases that are a step's, too, the worst last."""


class StepRun:
    """One step under way."""

    def __init__(self, folder: Path, step: Step, limit: float, arguments: argparse.Namespace) -> None:
        """``limit`` is in seconds."""
        self.folder, self.step, self.arguments = folder, step, arguments
        self.begin = time.monotonic()
        self.end = self.begin + limit
        self.result: StepResult = {
            "name": step.name,
            "title": step.title,
            "status": "unfinished",
            "lacking": None,
            "seconds": 0.0,
            "limit": limit,
            "cases": [],
        }

    def run(self) -> StepResult:
        """Runs it to its end, or to that of its time."""
        code: int | None = POISONED
        for _ in range(MOST_PROCESSES):
            code = self._process(len(self.result["cases"]))
            if code in (DONE, MISSING, OVER) or time.monotonic() >= self.end:
                break
        states = {case["status"] for case in self.result["cases"]}
        bad = [each for each in BAD if each in states]
        if code == MISSING:
            self.result["status"] = "missing"
        elif bad:
            self.result["status"] = bad[-1]
        else:
            self.result["status"] = "passed" if code == DONE else "unfinished"
        self.result["seconds"] = time.monotonic() - self.begin
        return self.result

    def _process(self, skip: int) -> int | None:
        """One process of the step, behind the cases that are done; None where it was stopped."""
        with tempfile.TemporaryDirectory() as scratch:
            lines = Path(scratch) / "lines"
            lines.touch()
            command = [sys.executable, "-m", "kit.worker", self.step.name, "--lines", str(lines), "--skip", str(skip)]
            command += ["--seconds", str(max(self.end - time.monotonic(), 1)), "--seed", str(self.arguments.seed)]
            command += ["--device", self.arguments.device]
            log = Path(scratch) / "log"
            with log.open("wb") as said:
                process = subprocess.Popen(command, cwd=self.folder, stdout=said, stderr=said, env=self._environment())
                stopped = self._watch(process, lines)
            self._take(lines, log, process.returncode, stopped)
            return None if stopped else process.returncode

    def _environment(self) -> dict[str, str]:
        # A case may take nearly all memory: what the one before it left must be of use to it.
        return {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"} | dict(os.environ)

    def _watch(self, process: subprocess.Popen[bytes], lines: Path) -> bool:
        """Waits for the end of a process; whether it was stopped, as its case or the step took too long."""
        size, since, limit = 0, time.monotonic(), START_LIMIT
        while process.poll() is None:
            time.sleep(0.05)
            now, length = time.monotonic(), lines.stat().st_size
            if length != size:
                size, since, limit = length, now, self.step.case_limit
            # Workers begin no case after the step's end, and the last one may take a while.
            if now - since > limit or now > self.end + min(self.step.case_limit, 30):
                process.kill()
                process.wait()
                return True
        return False

    def _take(self, lines: Path, log: Path, code: int | None, stopped: bool) -> None:
        """Reads what a process wrote; the case that it was at when it ended is crashed, or hung."""
        open_case: str | None = None
        for line in lines.read_text(encoding="utf-8").splitlines():
            try:
                entry: dict[str, Any] = json.loads(line)
            except ValueError:
                # The process ended while it wrote it.
                continue
            if "lacking" in entry:
                self.result["lacking"] = entry["lacking"]
            elif "begin" in entry:
                open_case = entry["begin"]
            else:
                found: CaseResult = entry["case"]
                self.result["cases"].append(found)
                open_case = None
        if stopped or code not in (DONE, MISSING, OVER, POISONED):
            ended = "it took too long and was stopped" if stopped else f"its process ended with {code}"
            said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-8:]
            reason = "\n".join([ended, *said])
            status = "hung" if stopped else "crashed"
            name = open_case or "start"
            if open_case is not None or not stopped:
                self.result["cases"].append({"name": name, "status": status, "reason": reason})


def main(folder: Path, given: Sequence[str] | None = None) -> None:
    """Runs the kit in a folder; ends with 0 if all is well, 1 if something is wrong, 3 if the GPU's part is missing."""
    arguments = _arguments(given)
    unpack(folder)
    manifest: dict[str, Any] = json.loads((folder / "kit.json").read_text(encoding="utf-8"))
    out = Path(arguments.out)
    results: Results = {
        "format": FORMAT,
        "version": VERSION,
        "kit": {name: manifest[name] for name in ("mtac", "made", "packages", "timing", "candidates", "cubins")},
        "began": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "minutes": arguments.minutes,
        "seed": arguments.seed,
        "finished": False,
        "steps": [],
    }
    end = time.monotonic() + 60 * arguments.minutes
    steps = [step for step in STEPS if arguments.only is None or step.name in arguments.only.split(",")]
    print(f"seed {arguments.seed}; results go to {out}", flush=True)
    for number, step in enumerate(steps):
        shares = sum(each.share for each in steps[number:])
        limit = max((end - time.monotonic()) * step.share / shares, step.least)
        found = StepRun(folder, step, limit, arguments).run()
        results["steps"].append(found)
        write(out, results)
        print(_line(found), flush=True)
    results["finished"] = True
    write(out, results)
    sys.exit(_exit_status(results))


def unpack(folder: Path) -> None:
    """Unpacks the emitted packages beside their archive; a folder that is there whole is taken as it is."""
    archive, target = folder / "packages.tar.gz", folder / "packages"
    if target.exists() or not archive.exists():
        return
    beside = folder / "packages.new"
    shutil.rmtree(beside, ignore_errors=True)
    with tarfile.open(archive) as files:
        if hasattr(tarfile, "data_filter"):
            files.extractall(beside, filter="data")
        else:
            files.extractall(beside)
    os.replace(beside, target)


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py", description="Checks and times what mtac emitted on this machine.")
    parser.add_argument("--minutes", type=float, default=8, help="to be done within (default: 8)")
    parser.add_argument("--out", default="results.json", help="where results go (default: results.json)")
    parser.add_argument("--seed", type=int, default=None, help="of random calls (default: another one each time)")
    parser.add_argument("--only", default=None, metavar="STEP,STEP", help=", ".join(step.name for step in STEPS))
    parser.add_argument("--device", choices=("auto", "cpu"), default="auto", help="cpu: as if there were no GPU")
    arguments = parser.parse_args(given)
    if arguments.minutes <= 0:
        parser.error("--minutes must be positive")
    known = {step.name for step in STEPS}
    for name in [] if arguments.only is None else arguments.only.split(","):
        if name not in known:
            parser.error(f"there is no step {name}")
    if arguments.seed is None:
        arguments.seed = int.from_bytes(os.urandom(3), "little")
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
