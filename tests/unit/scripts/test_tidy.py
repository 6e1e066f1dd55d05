#!/usr/bin/env python3
"""scripts/tidy over a copy of the tree: it accepts the tree as it is, and names what is wrong in one
that was changed. Prints TAP."""
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
# file that gets the line, header that it may not include
PRIVATE = [
    ("controlplane/query/query.c", "storage/read/catalog.h"),
    ("storage/read/reader.c", "storage/log/writer/log.h"),
    ("dataplane/worker/wire.c", "dataplane/registrar/parts.h"),
    ("dataplane/port/tcp/tcp.c", "dataplane/protocol/weir/parse.h"),
    ("base/event.c", "model/ledger.h"),
    ("app/cli/query.c", "controlplane/http/parts.h"),
]
# what is wrong with docs/design/architecture.md, text there, text in its place, what tidy says
TABLE = [
    ("a part has no row", "| `storage/keeper/` |", "| storage/keeper |", "no row names storage/keeper/"),
    ("a row has no part", "| `hw/` | nothing yet", "| `soft/` | | base |\n| `hw/` | nothing yet",
     "soft/ is no part"),
    ("a row says less than the program", "| the thread that defines series | port, protocol, series |",
     "| the thread that defines series | port, series |", "registrar/ sees port, protocol, series"),
]


def tidy(tree):
    """Exit code and lines of scripts/tidy of a tree."""
    done = subprocess.run([sys.executable, "scripts/tidy"], cwd=tree, capture_output=True, text=True,
                          check=False)
    return done.returncode, done.stdout.splitlines()


def with_line(tree, name, line):
    """What tidy says while the file has one line more at its end."""
    path = tree / name
    text = path.read_text()
    path.write_text(text + line + "\n")
    answer = tidy(tree)
    path.write_text(text)
    return answer


def check_private(tree, name, header):
    assert (tree / header).exists(), f"{header} is not there"
    code, lines = with_line(tree, name, f'#include "{header}"')
    assert code == 1 and len(lines) == 1, lines
    assert lines[0].startswith(f"{name}:") and header in lines[0], lines


def check_readme(tree):
    readme = tree / "storage/frame/README.md"
    text = readme.read_text()
    readme.unlink()
    code, lines = tidy(tree)
    readme.write_text(text)
    assert code == 1 and any(line.startswith("storage/frame:") for line in lines), lines


def check_row(tree):
    """A function is looked for in the file of its row, not anywhere."""
    page = "docs/design/pipeline.md"
    elsewhere = "| `dataplane/worker/records.c` | `weir_worker_append_parsed()`, `weir_worker_drain()` |"
    code, lines = with_line(tree, page, elsewhere)
    assert code == 1 and len(lines) == 1, lines
    assert "dataplane/worker/records.c does not define weir_worker_drain" in lines[0], lines
    code, lines = with_line(tree, page, elsewhere.replace("records.c", "worker.c").replace(
        "weir_worker_append_parsed", "weir_worker_run_once"))
    assert (code, lines) == (0, []), lines


def check_called(tree):
    """A call is no definition: nobody declares memrchr here, and several call it."""
    code, lines = with_line(tree, "docs/design/pipeline.md", "`memrchr()` is the C library's.")
    assert code == 1 and "no function memrchr" in lines[0], lines


def check_path(tree):
    """Row 29 is one file too many, and 31 leaves a number out."""
    page = "docs/design/pipeline.md"
    code, lines = with_line(tree, page, "| 29 | `model/ledger.h` | the sums |")
    assert code == 1 and len(lines) == 1 and "at most 28" in lines[0], lines
    code, lines = with_line(tree, page, "| 31 | `app/dataplane/run.c` | again |")
    assert code == 1 and len(lines) == 1 and "not numbered" in lines[0], lines


def check_table(tree, before, after, complaint):
    """docs/design/architecture.md with one row changed."""
    page = tree / "docs/design/architecture.md"
    text = page.read_text()
    assert text.count(before) == 1, before
    page.write_text(text.replace(before, after))
    code, lines = tidy(tree)
    page.write_text(text)
    assert code == 1 and len(lines) == 1 and complaint in lines[0], lines


def check_struct(tree):
    """The struct is in base/ring.h already, or there would be nothing to collide with."""
    assert "struct weir_ring {" in (tree / "base/ring.h").read_text()
    code, lines = with_line(tree, "model/packet.h", "struct weir_ring {\n    int size;\n};")
    assert code == 1 and len(lines) == 1 and "struct weir_ring is also in base/ring.h" in lines[0], lines


def check_clean(tree):
    assert tidy(tree) == (0, []), tidy(tree)[1]


def tests():
    yield "tidy accepts the tree", check_clean, ()
    for name, header in PRIVATE:
        yield f"tidy refuses {header} in {name}", check_private, (name, header)
    yield "tidy refuses a part without README", check_readme, ()
    yield "tidy refuses a function in the row of another file", check_row, ()
    yield "tidy refuses a function that is called and nowhere defined", check_called, ()
    yield "tidy refuses two structs of one name", check_struct, ()
    for change in TABLE:
        yield f"tidy refuses a table of parts in which {change[0]}", check_table, change[1:]
    yield "tidy refuses a path of more than 28 files, or with a number left out", check_path, ()


def main():
    with tempfile.TemporaryDirectory(prefix="weir-tidy-") as folder:
        tree = pathlib.Path(folder) / "weir"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(
            ".git", "build*", "weir-data", "__pycache__"))
        failed = False
        all_tests = list(tests())
        print(f"1..{len(all_tests)}")
        for number, (name, test, arguments) in enumerate(all_tests, 1):
            try:
                test(tree, *arguments)
                print(f"ok {number} - {name}")
            except AssertionError as problem:
                failed = True
                print(f"# {problem}\nnot ok {number} - {name}")
        return 1 if failed else 0


sys.exit(main())
