#!/usr/bin/env python3
"""Checks the models of this folder with spin, and that each of their mutants fails; prints TAP.

usage: run_models.py [--jobs N] [MODEL...]

A model has to hold under both orders of memory (memory.pml), with every statement reached. A
mutant is a line `#ifdef MUTANT_...` of the model: it has to fail under the C11 order, and under
TSO too unless its name says that it only weakens an order that TSO gives anyway.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent
ONLY_C11 = ("_RELAXED", "_WITHOUT_FENCE")
DEPTH = 100000
SECONDS = 300


def verify(model, defines, optimize):
    """What pan prints."""
    with tempfile.TemporaryDirectory() as work:
        for source in FOLDER.glob("*.pml"):
            shutil.copy(source, work)
        steps = [["spin", *[f"-D{name}" for name in defines], "-DCHECKED", "-a", model + ".pml"],
                 ["cc", optimize, "-w", "-DSAFETY", "-DCOLLAPSE", "-DNOFAIR", "-DVECTORSZ=16384",
                  "-o", "pan", "pan.c"],
                 ["./pan", f"-m{DEPTH}"]]
        for step in steps:
            done = subprocess.run(step, cwd=work, stdout=subprocess.PIPE, text=True,
                                  stderr=subprocess.STDOUT, timeout=SECONDS, check=False)
        return done.stdout


def unreached(output):
    """Statements of the model itself that no run has reached."""
    return [line.strip() for line in output.splitlines()
            if re.match(r'\s+\S+\.pml:\d+, state', line) and '"-end-"' not in line]


def holds(output):
    found = re.search(r"errors: (\d+)", output)
    return found is not None and found[1] == "0" and "max search depth" not in output and \
        "not completed" not in output


def fails(output):
    """A property was broken, and not a limit of the model."""
    found = re.search(r"pan:1: (.*)", output)
    return found is not None and "newest[" not in found[1].split("<")[0].split("==")[0] and \
        ("violated" in found[1] or "invalid end state" in found[1])


def states(output):
    return re.search(r"(\d+) states, stored", output)[1]


def checks(models):
    for model in models:
        text = (FOLDER / (model + ".pml")).read_text()
        for order in ("C11", "TSO"):
            yield model, order, None
        for mutant in sorted(set(re.findall(r"#ifn?def (MUTANT_\w+)", text))):
            yield model, "C11", mutant
            if not mutant.endswith(ONLY_C11):
                yield model, "TSO", mutant


def check(case):
    model, order, mutant = case
    output = verify(model, [order] + ([mutant] if mutant else []), "-O0" if mutant else "-O1")
    name = f"{model} under {order}"
    if mutant:
        return fails(output), f"{name}: {mutant[7:].lower()} is found", output
    missed = unreached(output)
    ok = holds(output) and not missed
    return ok, name + (f": no error in {states(output)} states" if ok else ""), output


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("models", nargs="*")
    options = parser.parse_args()
    models = options.models or sorted(
        path.stem for path in FOLDER.glob("*.pml") if path.stem != "memory")
    cases = list(checks(models))
    print(f"1..{len(cases)}")
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for number, (ok, name, output) in enumerate(pool.map(check, cases), 1):
            print(f"{'ok' if ok else 'not ok'} {number} - {name}", flush=True)
            if not ok:
                failed += 1
                print("".join(f"# {line}\n" for line in output.splitlines()), end="")
    return 1 if failed else 0


sys.exit(main())
