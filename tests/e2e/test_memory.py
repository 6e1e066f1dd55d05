"""Every allocation of the tools, of the supervisor and of the query process's start fails in turn:
an error by name, never a crash, never half an answer."""
import http.client
import json
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


def has_failed(marker):
    return os.path.exists(marker) and os.path.getsize(marker) > 0


def run(order, marker, arguments, given=b""):
    done = subprocess.run([os.path.join(BIN, arguments[0]), *arguments[1:]], input=given,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE,
                          env=environment(order, marker), check=False)
    failed = has_failed(marker)
    if os.path.exists(marker):
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
                assert b"memory" in done.stderr.lower(), told
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
    # of addresses that others may have for a moment it asks nothing here
    with open(path, "w", encoding="utf-8") as file:
        file.write("http: none\nlisteners: []\n")
    each_failure(["weir", "doctor", "--data", config, "--config", path],
                 form=lambda out: re.sub(rb"\d+", b"N", out))
    each_failure(["weir", "bench", "--emit", "100", "--series", "1000"], same=False)
    shutil.rmtree(config)


def test_commands_that_ask_an_instance():
    wire = f"127.0.0.1:{free_port()}"
    with Instance("--weir-tcp", wire) as weir:
        asked = f"127.0.0.1:{weir.http}"
        start = int(time.time()) - 60
        lines = b"".join(b"memory,n=%d v=%d %d\n" % (i % 6, i, (start + i // 6) * 10**9)
                         for i in range(12))
        assert weir.send_tcp(lines).startswith(b"ok 12 0 ")
        lines_path = os.path.join(weir.data, "lines")
        with open(lines_path, "wb") as file:
            file.write(lines)
        each_failure(["weir", "query", "--http", asked, "--agg", "raw", "--from", f"{start}",
                      "--to", f"{start + 10}", "memory_v"])
        each_failure(["weir", "query", "--http", asked, "--series", "memory_v"])
        each_failure(["weir", "query", "--http", asked, "--labels"])
        each_failure(["weir", "query", "--http", asked, "--json", "--from", f"{start}", "--to",
                      f"{start + 60}", "memory_v"])
        each_failure(["weir", "senders", "--http", asked])
        each_failure(["weir", "filter", "show", "--data", weir.data])
        each_failure(["weir", "rejected", "--http", asked])
        each_failure(["weir", "check", "lines", lines_path, "--proto", "influx"])
        tcp = f"127.0.0.1:{weir.influx_tcp}"
        each_failure(["weir", "send", "--tcp", tcp, lines_path], same=False)
        each_failure(["weir", "send", "--proto", "weir", "--tcp", wire, lines_path], same=False)
        each_failure(["weir", "send", "--tcp", tcp, "--generate", "1000"], same=False)
        each_failure(["weir", "send", "--udp", f"127.0.0.1:{weir.influx_udp}", "--generate", "50",
                      "--chaos", "1,5,5,5"], same=False)


class Faulty:
    """What is started inside inherits the fault; true in `failed` once a call has failed."""

    def __init__(self, order):
        self.marker = tempfile.mktemp(prefix="weir-memory-", dir=SCRATCH)
        self.set = environment(order, self.marker)

    def __enter__(self):
        self.before = dict(os.environ)
        os.environ.update(self.set)
        return self

    def __exit__(self, *_):
        os.environ.clear()
        os.environ.update(self.before)
        if os.path.exists(self.marker):
            os.unlink(self.marker)

    def failed(self):
        return has_failed(self.marker)


def end(weir):
    weir.process.send_signal(signal.SIGTERM)
    return weir.process.wait(PATIENCE)


def test_dataplane_that_gets_no_thread_says_so_and_is_started_again():
    for order in ("thread:1", "thread:2", "epoll:1", "epoll:3", "epoll:4"):
        weir = Instance("--workers", "2", "--log-full", "recycle", "--log-size-max", "1GiB",
                        "--log-segment-size", "16MiB")
        try:
            with Faulty(f"weir-dataplane:{order}") as fault:
                weir.start(wait=False)
                wait_for(lambda: weir.log().count("event=start_failed") > 1,
                         f"{order}: the dataplane is started again")
                assert fault.failed()
                end(weir)
            assert "assert_failed" not in weir.log() and "signal" not in [
                line for line in weir.log().splitlines() if "event=died" in line], weir.log()
        finally:
            weir.__exit__(*sys.exc_info())


def test_supervisor_that_starts_without_memory_says_so():
    for n in range(1, MOST):
        weir = Instance()
        try:
            with Faulty(f"weir:memory:{n}") as fault:
                weir.start(wait=False)
                wait_for(lambda: weir.process.poll() is not None or is_open(weir), "open, or ended")
                if weir.process.poll() is None:
                    check_filter(weir)
                    assert end(weir) == 0, weir.log()
                else:
                    assert weir.process.returncode in (1, 2), weir.log()
                    assert fault.failed() and "memory" in weir.log(), weir.log()
                if not fault.failed():
                    break
        finally:
            weir.__exit__(*sys.exc_info())
    print(f"# weir run: {n - 1} allocations")


def check_filter(weir):
    """The supervisor's answers to weir filter are whole, or say that memory is short."""
    plain = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    for command in (["deny", "192.0.2.1"], ["show"]):
        done = subprocess.run([os.path.join(BIN, "weir"), "filter", *command, "--data", weir.data],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE,
                              env=plain, check=False)
        if done.returncode != 0:
            assert b"memory" in done.stderr, done
        elif command == ["show"]:
            assert b"no AF_XDP port" in done.stdout, done


def test_reload_without_memory_says_so_and_changes_nothing():
    for n in (25, 60, 150):  # of some 250 behind those of the start
        weir = Instance()
        try:
            with Faulty(f"weir:memory:{n}") as fault:
                weir.start()
                plain = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
                done = subprocess.run([os.path.join(BIN, "weir"), "reload", "--data", weir.data],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=plain,
                                      timeout=PATIENCE, check=False)
                assert done.returncode == (2 if fault.failed() else 0), done
                assert not fault.failed() or b"memory" in done.stderr, done
                assert end(weir) == 0, weir.log()
        finally:
            weir.__exit__(*sys.exc_info())


def is_open(weir):
    try:
        return weir.get("/healthz", timeout=10)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_query_process_that_starts_without_memory_says_so_or_answers_right():
    with Instance() as weir:
        start = int(time.time()) - 60
        lines = b"".join(b"memory,n=%d v=%d %d\n" % (i, i, start * 10**9) for i in range(5))
        assert weir.send_tcp(lines).startswith(b"ok 5 0 ")
        weir.stop()
        ask = {"from": f"{start - 1}", "to": f"{start + 1}", "agg": "raw"}
        for n in range(1, MOST):
            with Faulty(f"weir-controlplane:memory:{n}") as fault:
                command = [os.path.join(BIN, "weir-controlplane"), "--shared-fd", "none", "--data",
                           weir.data, "--http", f"127.0.0.1:{weir.http}"]
                with open(weir.log_path, "wb") as log:
                    process = subprocess.Popen(command, stdout=log, stderr=log)
                try:
                    answer = wait_for(lambda: process.poll() is not None or answers(weir, ask),
                                      f"{n}: it ends, or answers")
                    if process.poll() is None:
                        assert len(answer["series"]) == 5 and "warnings" not in answer, (n, answer)
                        process.terminate()
                        assert process.wait(PATIENCE) == 0, (n, weir.log())
                    else:
                        assert process.returncode == 1 and "memory" in weir.log(), (n, weir.log())
                        assert fault.failed()
                finally:
                    process.kill()
                    process.wait()
                if not fault.failed():
                    break
        print(f"# weir-controlplane: {n - 1} allocations")


def answers(weir, ask):
    """What it answers, None while it does not; whether ingest is open is not asked."""
    try:
        status, body = weir.get("/api/v1/metrics/query", timeout=10, metric="memory_v", **ask)
    except (OSError, http.client.HTTPException):
        return None
    assert status in (200, 503), (status, body)
    return json.loads(body) if status == 200 else None


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
