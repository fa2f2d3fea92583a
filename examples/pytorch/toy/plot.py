"""``python -m toy.plot FILE.svg RESULT.json …``: errors of runs over their steps, a line for each run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt

LINES = {
    "Mta": ("multi-token attention", "#0f766e"),
    "Formulas": ("multi-token attention, by plain formulas", "#d97706"),
    "Plain": ("plain attention", "#8a9894"),
}
"""What lines of attentions are called, and their colours."""


def plot(results: list[Path], file: Path) -> None:
    """Draws the errors on held-out samples.

    Args:
        results: ``result.json`` of runs.
        file: Where to; its ending says the kind of picture.
    """
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    named: set[str] = set()
    for result in results:
        run = json.loads(result.read_text())
        label, colour = LINES[run["attention"].removesuffix("Paper")]
        steps = [line["step"] for line in run["lines"]]
        errors = [100 * line["error"] for line in run["lines"]]
        axes.plot(
            steps,
            errors,
            color=colour,
            linewidth=1.5,
            label=None if label in named else label,
        )
        named.add(label)
    axes.set(xlabel="steps", ylabel="wrong answers to held-out samples, %", ylim=(0, 102), xlim=(0, None))
    axes.grid(color="#dde2e0", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(file)
    plt.close(figure)


def main() -> None:
    """Draws what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m toy.plot", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("results", type=Path, nargs="+")
    arguments = parser.parse_args()
    plot(arguments.results, arguments.file)


if __name__ == "__main__":
    main()
