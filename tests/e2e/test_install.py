"""What `meson install` puts where, and that it runs from there."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
import tap
from instance import BIN, SCRATCH, Instance

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
PRIVATE = {"weir-dataplane", "weir-controlplane", "weir-keeper"}
OBJECTS = {"weir_xdp.bpf.o", "weir_gen.bpf.o"}


class Installed:
    """A tree that BIN was installed to, as a package would be made."""

    def __enter__(self):
        if not shutil.which("meson"):
            raise tap.Skip("meson is missing")
        self.tree = tempfile.mkdtemp(prefix="weir-e2e-install-", dir=SCRATCH)
        subprocess.run(["meson", "install", "-C", BIN, "--no-rebuild", "--destdir", self.tree],
                       check=True, stdout=subprocess.DEVNULL)
        self.names = {}
        for folder, _, files in os.walk(self.tree):
            for name in files:
                self.names[name] = folder
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.tree, ignore_errors=True)


def test_only_weir_is_installed_for_people_to_start():
    with Installed() as it:
        assert os.path.basename(it.names["weir"]) == "bin", it.names
        assert os.listdir(it.names["weir"]) == ["weir"]
        wanted = PRIVATE | {name for name in OBJECTS if os.path.exists(os.path.join(BIN, name))}
        folder = it.names["weir-dataplane"]
        assert folder.endswith("/libexec/weir"), folder
        assert set(os.listdir(folder)) == wanted, os.listdir(folder)


def test_an_agent_is_built_with_the_installed_client_library():
    with Installed() as it:
        agent = os.path.join(it.tree, "agent")
        source = ("#include <weir_client.h>\n"
                  "int main(void) { struct weir_client_options o = {.address = \"127.0.0.1\"};\n"
                  "return (int)o.port + (weir_client_close == 0); }\n")
        subprocess.run(["gcc", "-std=c11", "-x", "c", "-", "-o", agent, "-I",
                        it.names["weir_client.h"], "-L", it.names["libweir_client.a"],
                        "-lweir_client"], input=source, text=True, check=True)
        assert subprocess.run([agent]).returncode == 0


def test_installed_weir_runs_from_where_it_was_put():
    with Installed() as it:
        with Instance(binaries=it.names["weir"]) as weir:
            assert weir.send_tcp(b"m v=1\n").startswith(b"ok 1 0 ")
            assert os.readlink(f"/proc/{weir.pid('dataplane')}/exe") == \
                os.path.join(it.names["weir-dataplane"], "weir-dataplane")
        # and by a link, as package managers make them
        link = os.path.join(it.tree, "linked")
        os.symlink(it.names["weir"], link)
        with Instance(binaries=link) as weir:
            assert weir.send_tcp(b"m v=1\n").startswith(b"ok 1 0 ")
        bench = subprocess.run([os.path.join(it.names["weir"], "weir"), "bench", "--source", "ring",
                                "--proto", "influx", "--series", "1000", "--seconds", "1", "--data",
                                os.path.join(it.tree, "data"), "--json"], capture_output=True)
        assert bench.returncode == 0, bench.stderr


def test_licence_and_pages_for_people_lie_at_the_top():
    for name, words in (("LICENSE", "Apache License"), ("CHANGELOG.md", "## Unreleased"),
                        ("SECURITY.md", "## Report")):
        with open(os.path.join(ROOT, name)) as file:
            assert words in file.read(), name
    with open(os.path.join(ROOT, "meson.build")) as file:
        version = re.search(r"version: '([\d.]+)'", file.read()).group(1)
    with open(os.path.join(ROOT, "CHANGELOG.md")) as file:
        assert f"## {version}\n" in file.read(), version


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
