"""Every allocation of the tools, of the supervisor and of the query process's start fails in turn:
an error by name, never a crash, never half an answer."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import tap
from instance import BIN, PATIENCE, SCRATCH, Instance, free_port, wait_for

LIBRARY = os.path.join(BIN, "tests/unit/faults/libfault_preload.so")
MOST = 3000  # more allocations than any of these commands has


def environment(order, marker):
    if not os.path.exists(LIBRARY):
        raise tap.Skip("built without tests/unit/faults")
    return {**os.environ, "LD_PRELOAD": LIBRARY, "WEIR_FAULT": order, "WEIR_FAULT_FILE": marker}


def run(order, marker, arguments, given=b""):
    done = subprocess.run([os.path.join(BIN, arguments[0]), *arguments[1:]], input=given,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE,
                          env=environment(order, marker), check=False)
    failed = os.path.exists(marker)
    if failed:
        os.unlink(marker)
    return failed, done


def each_failure(arguments, given=b"", same=True, kinds=("", "+"), form=bytes):
    """Runs the command once for each of its allocations. `same`: what it prints when it says that
    all is well is what it prints without a failure."""
    marker = tempfile.mktemp(prefix="weir-memory-", dir=SCRATCH)
    wanted = run("none:memory:1", marker, arguments, given)[1]
    assert wanted.returncode == 0, wanted
    for kind in kinds:
        for n in range(1, MOST):
            failed, done = run(f"{arguments[0]}:memory:{n}{kind}", marker, arguments, given)
            told = (n, kind, done.returncode, done.stdout[-300:], done.stderr[-300:])
            assert done.returncode in (0, 1, 2), told
            if done.returncode != 0:
                assert failed, told
                assert b"memory" in done.stderr, told
            elif same:
                assert form(done.stdout) == form(wanted.stdout), told
            if not failed:
                break
        else:
            raise AssertionError(f"more than {MOST} allocations")
        print(f"# {' '.join(arguments[:3])}: {n - 1} allocations")


def test_commands_that_ask_nobody():
    config = tempfile.mkdtemp(prefix="weir-memory-", dir=SCRATCH)
    path = os.path.join(config, "weir.yaml")
    shutil.copy(os.path.join(os.path.dirname(__file__), "../../weir.yaml"), path)
    each_failure(["weir", "--version"])
    each_failure(["weir", "--help"])
    each_failure(["weir", "check", "--config", path], kinds=("",))
    # numbers change from run to run; a finding does not for want of memory
    each_failure(["weir", "doctor", "--data", config], form=lambda out: re.sub(rb"\d+", b"N", out))
    each_failure(["weir", "bench", "--emit", "100", "--series", "1000"], same=False)
    shutil.rmtree(config)


def test_commands_that_ask_an_instance():
    wire = f"127.0.0.1:{free_port()}"
    with Instance("--weir-tcp", wire) as weir:
        http = f"127.0.0.1:{weir.http}"
        start = int(time.time()) - 60
        lines = b"".join(b"memory,n=%d v=%d %d\n" % (i % 6, i, (start + i // 6) * 10**9)
                         for i in range(12))
        assert weir.send_tcp(lines).startswith(b"ok 12 0 ")
        each_failure(["weir", "query", "--http", http, "--agg", "raw", "--from", f"{start}",
                      "--to", f"{start + 10}", "memory_v"])
        each_failure(["weir", "query", "--http", http, "--series", "memory_v"])
        each_failure(["weir", "query", "--http", http, "--labels"])
        each_failure(["weir", "query", "--http", http, "--json", "--from", f"{start}", "--to",
                      f"{start + 60}", "memory_v"])
        each_failure(["weir", "senders", "--http", http])
        each_failure(["weir", "filter", "show", "--data", weir.data])
        tcp = f"127.0.0.1:{weir.influx_tcp}"
        lines_path = os.path.join(weir.data, "lines")
        with open(lines_path, "wb") as file:
            file.write(lines)
        each_failure(["weir", "send", "--tcp", tcp, lines_path], same=False)
        each_failure(["weir", "send", "--proto", "weir", "--tcp", wire, lines_path], same=False)
        each_failure(["weir", "send", "--tcp", tcp, "--generate", "1000"], same=False)
        each_failure(["weir", "send", "--udp", f"127.0.0.1:{weir.influx_udp}", "--generate", "50",
                      "--chaos", "1,5,5,5"], same=False)


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
