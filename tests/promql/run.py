#!/usr/bin/env python3
"""run: promqltest over files, a line of TAP each.

    run.py PROMQLTEST [--mutate] FILE...
    run.py PROMQLTEST --reference FOLDER

With --reference: all *.test of FOLDER/promqltest, or of $WEIR_CONFORMANCE/promqltest where that is
set. It skips where there are none.
"""
import os
import pathlib
import re
import subprocess
import sys


def run(number, program, options, file):
    """Runs one file; prints its failures as comments, then its line. True where all is good."""
    done = subprocess.run([program, *options, file], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    tally = lines[-1] if lines else "no answer"
    counts = [int(count) for count in re.findall(r"\d+", tally)]
    for line in lines[:-1] + done.stderr.splitlines():
        print(f"# {line}")
    # 0 cases are no answer: a file has some
    good = done.returncode == 0 and bool(counts) and sum(counts) > 0
    print(f"{'ok' if good else 'not ok'} {number} - {pathlib.Path(file).name}: {tally}")
    return good


def main():
    program, *rest = sys.argv[1:]
    options = [word for word in rest if word == "--mutate"]
    files = [word for word in rest if not word.startswith("--")]
    if "--reference" in rest:
        folder = pathlib.Path(os.environ.get("WEIR_CONFORMANCE", files[0])) / "promqltest"
        files = sorted(str(path) for path in folder.glob("*.test"))
        if not files:
            print(f"1..1\nok 1 - reference # SKIP no files in {folder}")
            return 0
    print(f"1..{len(files)}")
    results = [run(number, program, options, file) for number, file in enumerate(files, 1)]
    return 0 if all(results) else 1


sys.exit(main())
