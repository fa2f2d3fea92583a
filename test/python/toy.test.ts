import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { withFolder } from "../support/folder.ts";
import { packageOf, python, writeFiles } from "./python.ts";

// The example that trains a language model: a few steps of it.

const EXAMPLE = fileURLToPath(new URL("../../examples/pytorch/", import.meta.url));

/** The example with its attentions compiled beside it. */
function fill(folder: string): void {
  cpSync(join(EXAMPLE, "toy"), join(folder, "toy"), { recursive: true });
  writeFiles(folder, packageOf(readFileSync(join(EXAMPLE, "attention.mta"), "utf8"), "attention.mta"));
}

const STEPS = `import sys, torch
from pathlib import Path
from dataclasses import replace
import toy.train as train
from attention import Mta, MtaPaper
from toy.__main__ import Formulas, FormulasPaper

torch.set_num_threads(1)
# Muon's steps are rounded to bfloat16: they enlarge what the last bits of gradients differ by.
muon = replace(train.SCALES["tiny"], steps=6, warmup=2)
adam = replace(muon, matrices=0)
dropping = replace(adam, shape=replace(adam.shape, dim=256))
kinds = ((muon, Mta, Formulas, 1e-2), (adam, Mta, Formulas, 1e-4), (dropping, MtaPaper, FormulasPaper, 1e-4))
for number, (scale, attention, plain, tolerance) in enumerate(kinds):
    lines = {}
    runs = (("whole", attention, 6), ("plain", plain, 6), ("parts", attention, 3), ("parts", attention, 6))
    for name, kind, steps in runs:
        folder = Path(str(number), name)
        torch.manual_seed(len(name) + steps)
        lines[name] = [each["loss"] for each in train.train(replace(scale, steps=steps, decays=False), kind, 5, folder, every=1)]
    print(max(abs(a - b) for a, b in zip(lines["whole"], lines["plain"])) < tolerance)
    print(len(lines["parts"]), lines["parts"] == lines["whole"][3:])
    print((folder / "result.json").exists(), len(lines["whole"]))`;

test("training equals training with the plain formulas, and goes on where it was stopped", async () => {
  await withFolder(async (folder) => {
    fill(folder);
    expect(await python(["-c", STEPS], folder)).toBe("True\n3 True\nTrue 6\n".repeat(3));
  });
});

test("the command trains, and its sources pass ruff and mypy", async () => {
  await withFolder(async (folder) => {
    fill(folder);
    const args = ["-m", "toy", "--scale", "tiny", "--attention", "mta", "--seeds", "1", "--threads", "1"];
    expect(await python(args, folder)).toMatch(/^ *mta {2}seed 1 {2}step {5}60 {2}loss \d\.\d{4} /m);
    await python(["-m", "ruff", "check", "."], folder);
    await python(["-m", "ruff", "format", "--check", "."], folder);
    expect(await python(["-m", "mypy", "--strict", "toy"], folder)).toContain("Success");
  });
});

const EXPORT = `import json, sys
from dataclasses import replace
from pathlib import Path
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from attention import Mta
from toy.data import Task
from toy.model import Model
from toy.train import SCALES

tensors = load_file("mta.safetensors")
with safe_open("mta.safetensors", "pt") as file:
    print(json.loads(file.metadata()["scale"])["task"]["blocks"])
model = Model(SCALES["tiny"].shape, Mta)
model.load_state_dict(tensors)
(first, *_) = json.loads(Path("mta.json").read_text())
tokens = torch.tensor([[29, *("abcdefghijklmnopqrstuvwxyz.#_^$".index(letter) for letter in first["text"] + first["answer"])]])
print((model(tokens, 6)[0] - torch.tensor(first["logits"])).abs().max().item() < 1e-4)`;

test("a trained model is exported with its answers, and read again", async () => {
  await withFolder(async (folder) => {
    fill(folder);
    const args = ["-m", "toy", "--scale", "tiny", "--attention", "mta", "--seeds", "1", "--threads", "1"];
    await python(args, folder);
    await python(["-m", "toy.export", "runs/tiny-mta-1", "mta.safetensors", "--answers", "mta.json"], folder);
    expect(await python(["-c", EXPORT], folder)).toBe("3\nTrue\n");
    await python(["-m", "toy.plot", "errors.svg", "runs/tiny-mta-1/result.json"], folder);
    expect(readFileSync(join(folder, "errors.svg"), "utf8")).toContain("</svg>");
  });
});
