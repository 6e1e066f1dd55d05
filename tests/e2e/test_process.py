"""The processes themselves: what they inherit, what they follow while they run, what they give up."""
import fcntl
import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(__file__))
import tap
from instance import BIN, SCRATCH, Instance, wait_for

SERVERS = ("supervisor", "dataplane", "controlplane")


class Child(Instance):
    """An instance whose first process is changed before it is executed."""

    def __init__(self, *options, before=None, **named):
        super().__init__(*options, **named)
        self.before = before

    def start(self, wait=True):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, start_new_session=True,
                                            preexec_fn=self.before)
        if wait:
            self.wait_open()
        return self


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def configured(folder_of, text):
    path = folder_of.data + ".yaml"
    write(path, text)
    folder_of.options += ["--config", path]
    return path


def says(weir, text, times=1):
    wait_for(lambda: weir.log().count(text) >= times, f"{text} in the log")


def hang_up(weir, event, times=1):
    weir.process.send_signal(signal.SIGHUP)
    says(weir, "event=" + event, times)


def planned_threads(options):
    """{process: {thread: core or None}}, as weir check prints them."""
    plan = subprocess.run([os.path.join(BIN, "weir"), "check", *options], check=True,
                          capture_output=True, text=True).stdout
    threads = {}
    for line in plan.splitlines():
        if line.startswith("# ") and line[2] != " ":
            of = re.match("# threads of the (.*?)(,|$)", line)
            process = of and of[1].replace(" ", "")
        elif line.startswith("#   ") and process:
            name, core = re.match(r"#   (\S+) +core (\S+)", line).groups()
            threads.setdefault(process, {})[name] = None if core == "any" else int(core)
    return threads


def running_threads(pid):
    """{name: core or None} of a process; its first thread bears the process's name."""
    threads = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/comm") as file:
            cores = os.sched_getaffinity(int(thread))
            threads[file.read().strip()] = next(iter(cores)) if len(cores) == 1 else None
    return {name: core for name, core in threads.items() if not name.startswith("iou-")}


def test_threads_that_run_are_those_of_the_plan():
    for options in ([], ["--workers", "2"], ["--log-full", "recycle", "--pin", "false"]):
        plan = planned_threads(options)
        with Instance(*options) as weir:
            first = next(iter(plan["dataplane"]))  # the process's own
            plan["dataplane"]["weir-dataplane"] = plan["dataplane"].pop(first)
            plan["controlplane"]["weir-controlpla"] = plan["controlplane"].pop("weir-controlplane")
            for process, threads in plan.items():
                pid = weir.pid(process)

                def as_planned():
                    running = running_threads(pid)
                    # one of no stage has the cores that are left, which may be a single one
                    return set(running) == set(threads) and all(
                        core is None or running[name] == core for name, core in threads.items())
                wait_for(as_planned, f"{threads} of the {process}, {options}")


# what changes while it runs

def test_hangup_takes_what_may_change_while_running():
    weir = Instance()
    path = configured(weir, "query: {series_max: 10}\n")
    with weir:
        now = time.time()
        lines = "".join(f"m,h=a{i} v={i} {int(now)}000000000\n" for i in range(3))
        assert weir.send_tcp(lines.encode()).startswith(b"ok 3 0 ")
        assert len(weir.query("m_v")["series"]) == 3
        write(path, "query: {series_max: 2}\nretention: {raw: 1m}\nlog_level: debug\n")
        hang_up(weir, 'reloaded taken="retention.raw query.series_max log_level"')
        assert weir.get("/api/v1/metrics/query", metric="m_v")[0] != 200
        old = f"m,h=a1 v=1 {int(now) - 3600}000000000\n".encode()
        wait_for(lambda: weir.send_tcp(old).startswith(b"ok 0 1 "), "an old sample is refused")
        with open(os.path.join(weir.data, "run", "weir.yaml")) as file:
            assert "series_max: 2\n" in file.read()
        # a process that is started again has them too
        weir.replace("dataplane")
        assert weir.send_tcp(old).startswith(b"ok 0 1 ")
    os.unlink(path)


def test_hangup_names_what_needs_a_restart_and_takes_the_rest():
    weir = Instance()
    path = configured(weir, "series: {max: 1000}\n")
    with weir:
        write(path, "series: {max: 2000}\nquery: {timeout: 1s}\ndataplane: {workers: 2}\n")
        hang_up(weir, 'reloaded taken="query.timeout"')
        says(weir, 'event=reload_needs_restart keys="dataplane.workers series.max"')
        with open(os.path.join(weir.data, "run", "weir.yaml")) as file:
            kept = file.read()
        assert "max: 1000\n" in kept and "timeout: 1s\n" in kept, kept
    os.unlink(path)


def test_hangup_with_a_bad_file_is_refused_whole():
    weir = Instance()
    path = configured(weir, "query: {series_max: 10}\n")
    with weir:
        write(path, "query: {series_max: 2}\nlog:\n  size_max: 1\n")
        hang_up(weir, f'reload_refused reason="{path}:3: log.size_max: ')
        with open(os.path.join(weir.data, "run", "weir.yaml")) as file:
            assert "series_max: 10\n" in file.read()
        write(path, "query: {series_max: x}\nlog:\n  size_max: 1\nlog_level: loud\n")
        hang_up(weir, f'reload_refused reason="{path}:1: query.series_max: ')
        says(weir, "'x' is no whole number; and 2 more, which weir check names")
        os.unlink(path)
        hang_up(weir, f'reload_refused reason="{path}: No such file', 1)
        write(path, "query: {series_max: 3}\n")
        hang_up(weir, 'reloaded taken="query.series_max"')
        assert weir.get("/healthz")[0] == 200
    os.unlink(path)


def test_hangup_does_not_wait_for_a_configuration_from_a_pipe():
    weir = Instance()
    path = weir.data + ".pipe"
    os.mkfifo(path)
    weir.options += ["--config", path]
    writer = threading.Thread(target=write, args=(path, "query: {series_max: 10}\n"))
    writer.start()
    with weir:
        writer.join()
        hang_up(weir, f'reload_refused reason="{path} is no regular file')
        with open(os.path.join(weir.data, "run", "weir.yaml")) as file:
            assert "series_max: 10\n" in file.read()
    os.unlink(path)


def test_reload_says_what_came_of_it():
    weir = Instance()
    path = configured(weir, "query: {series_max: 10}\n")

    def reload():
        done = subprocess.run([os.path.join(BIN, "weir"), "reload", "--data", weir.data],
                              capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    with weir:
        assert reload() == (0, "taken: nothing\n")
        write(path, "query: {series_max: 2}\nseries: {max: 77}\n")
        assert reload() == (0, "taken: query.series_max\nneeds a restart: series.max\n")
        write(path, "query:\n  series_max: none\n")
        code, said = reload()
        assert code == 2 and f"{path}:2: query.series_max: " in said, (code, said)
    code, said = reload()
    assert code == 1 and "no instance answers" in said, (code, said)
    os.unlink(path)


def test_hangup_of_every_process_by_name_ends_none():
    with Instance() as weir:
        pids = [weir.pid(name) for name in SERVERS]
        for pid in pids:
            os.kill(pid, signal.SIGHUP)
        says(weir, "event=reloaded")
        assert weir.get("/healthz")[0] == 200
        assert [weir.pid(name) for name in SERVERS] == pids
        assert "child_died" not in weir.log()


# what is inherited

def test_hangup_of_a_start_that_waits_is_followed_when_it_runs():
    weir = Instance()
    log = os.path.join(weir.data, "log")
    os.mkdir(log)
    held = os.open(log, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(held, fcntl.LOCK_EX)  # as a dataplane of before does that still flushes
    try:
        weir.start(wait=False)
        wait_for(lambda: os.path.exists(os.path.join(weir.data, "lock")), "it waits for the log")
        weir.process.send_signal(signal.SIGHUP)
    finally:
        os.close(held)
    try:
        weir.wait_open()
        wait_for(lambda: "event=reloaded" in weir.log(), "the reload")
    finally:
        weir.__exit__(*sys.exc_info())


def test_ignored_hangup_stays_ignored():
    with Child(before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as weir:
        weir.process.send_signal(signal.SIGHUP)
        weir.process.send_signal(signal.SIGCHLD)  # taken after it, if that came at all
        weir.replace("controlplane")
        assert "event=reload" not in weir.log() and "event=stopping" not in weir.log()


def test_ignored_death_of_children_is_seen_all_the_same():
    with Child(before=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)) as weir:
        weir.replace("dataplane")
        weir.replace("controlplane")
        assert weir.stop() == 0


def test_blocked_signals_are_unblocked():
    every = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP}
    with Child(before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, every)) as weir:
        weir.replace("dataplane")
        assert weir.stop() == 0


def test_closed_standard_descriptors_become_none_of_ours():
    def close():
        for fd in (0, 1, 2):
            os.close(fd)
    weir = Child("--log-level", "debug", before=close)
    with weir:
        for name in SERVERS:
            for fd in (0, 1, 2):
                assert os.readlink(f"/proc/{weir.pid(name)}/fd/{fd}") == "/dev/null", name
        for name in os.listdir(weir.data):
            path = os.path.join(weir.data, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    assert b"event=" not in file.read(), path


def test_small_limit_of_file_sizes_is_an_error_with_a_name():
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    weir = Child(before=limit)
    weir.start(wait=False)
    try:
        assert weir.process.wait(120) in (1, 2), weir.process.returncode
        # the log itself is cut at the limit, so it is enough that it says so
        assert "File too large" in weir.log(), weir.log()
        assert "RLIMIT_FSIZE" in weir.log(), weir.log()
    finally:
        weir.__exit__(None, None, None)


def test_data_that_may_not_be_written_refuses_the_start():
    weir = Instance(user=65534 if os.geteuid() == 0 else None)
    if os.geteuid() == 0:
        os.chown(weir.data, 65534, 65534)
    os.chmod(weir.data, 0o555)
    weir.start(wait=False)
    try:
        assert weir.process.wait(120) == 2, weir.log()
        assert "Permission denied" in weir.log(), weir.log()
    finally:
        os.chmod(weir.data, 0o755)
        weir.__exit__(None, None, None)


def test_soft_limit_of_file_sizes_is_raised():
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
    with Child(before=limit) as weir:
        assert weir.send_tcp(b"m v=1\n").startswith(b"ok 1 0 ")


def test_files_have_modes_of_their_own_whatever_the_mask():
    for mask in (0, 0o777):
        with Child(before=lambda mask=mask: os.umask(mask)) as weir:
            def mode(name, of=weir):
                return os.stat(os.path.join(of.data, name)).st_mode & 0o777
            for name in SERVERS:
                assert mode(f"run/{name}.pid") == 0o644, (mask, name)
            assert mode("run/weir.yaml") == 0o640
            assert mode("key") == 0o600
            assert mode("lock") == 0o640
            assert mode("run") == 0o750
            for folder, _, files in os.walk(os.path.join(weir.data, "log")):
                for name in files:
                    assert os.stat(os.path.join(folder, name)).st_mode & 0o027 == 0, name


# limits

def test_a_crowd_of_connections_with_few_descriptors_is_answered_or_closed():
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    weir = Child("--log-segment-size", "16MiB", "--flush-interval", "5ms", before=limit)
    with weir:
        says(weir, 'event=doubtful_configuration reason="open files: 64 are allowed')
        crowd = [socket.create_connection(("127.0.0.1", weir.influx_tcp)) for _ in range(100)]
        answers = []
        for sender in crowd:
            sender.settimeout(120)
            try:
                sender.sendall(b"m v=1\n")
                sender.shutdown(socket.SHUT_WR)
                answers.append(sender.recv(64))
            except OSError as error:
                assert not isinstance(error, TimeoutError), "accepted, and never answered"
                answers.append(b"")
            sender.close()
        assert any(answer.startswith(b"ok 1 0 ") for answer in answers), answers
        assert all(answer == b"" or answer.startswith(b"ok 1 0 ") for answer in answers), answers
        # as many as there may be are there at a time, and the log goes on to its next files
        idle = [socket.create_connection(("127.0.0.1", weir.influx_tcp)) for _ in range(100)]
        values = "".join(f"fill,h={i} f={random.random()!r} TIME\n" for i in range(20000))
        for pack in range(1000):
            text = values.replace("TIME", str((int(time.time()) * 1000 + pack) * 10**6)).encode()
            assert weir.send_tcp(text).startswith(b"ok 20000 0 ")
            if sum(name.endswith(".seg")
                   for name in os.listdir(os.path.join(weir.data, "log", "0"))) > 2:
                break
        else:
            raise AssertionError("no segment is made")
        for connection in idle:
            connection.close()
        # HTTP: every one of a crowd is told something
        crowd = [socket.create_connection(("127.0.0.1", weir.http)) for _ in range(100)]
        for client in crowd:
            client.settimeout(120)
            client.sendall(b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
        told = []
        for client in crowd:
            try:
                told.append(client.recv(12))
            except ConnectionResetError:
                told.append(b"")
            client.close()
        assert set(told) <= {b"HTTP/1.1 200", b"HTTP/1.1 503", b""}, set(told)
        assert b"HTTP/1.1 200" in told
        assert weir.get("/healthz")[0] == 200
        assert "event=io_error" not in weir.log() and "child_died" not in weir.log()


def test_less_memory_than_is_planned_is_said_before_the_start():
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (220 << 20, 220 << 20))
    check = subprocess.run([os.path.join(BIN, "weir"), "check"], capture_output=True, text=True,
                           preexec_fn=limit)
    if "Sanitizer" in check.stderr:
        raise tap.Skip("a sanitizer's shadow is larger than the limit")
    assert check.returncode == 0, check
    assert "RLIMIT_AS (ulimit -v) allows 220 MiB" in check.stderr, check.stderr


# both families

def ask_http(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(120)
        client.connect((address, port))
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return client.recv(15)


def send_to(address, port, kind, payload):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as client:
        client.settimeout(120)
        client.connect((address, port))
        client.sendall(payload)
        if kind == socket.SOCK_STREAM:
            client.shutdown(socket.SHUT_WR)
            return client.recv(64)
    return b""


def refused(address, port, kind):
    try:
        if kind == socket.SOCK_DGRAM:
            with socket.socket(socket.AF_INET, kind) as client:
                client.settimeout(120)
                client.connect((address, port))
                client.send(b"m v=1\n")
                client.recv(1)  # the port is unreachable
        else:
            send_to(address, port, kind, b"m v=1\n")
    except ConnectionRefusedError:
        return True
    return False


class Six(Instance):
    """Its listeners are on [::], and IPv4 ones beside them where they are asked for."""

    def __init__(self, *options, beside=False):
        super().__init__(*options)
        self.beside = beside
        if not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"):
            raise tap.Skip("no IPv6 here")

    def command(self):
        words = super().command()
        if not self.beside:
            words = [w.replace("127.0.0.1:", "[::]:") for w in words]
            words[words.index("--http") + 1] = f"[::]:{self.http}"
        else:
            words = [w.replace("127.0.0.1:", "0.0.0.0:") for w in words]
            words += ["--influx-udp", f"[::]:{self.influx_udp}",
                      "--graphite-tcp", f"[::]:{self.influx_tcp}"]
        return words

    def get(self, path, timeout=120, **parameters):
        if "--ipv6-only" not in self.options:
            return super().get(path, timeout, **parameters)
        return (200 if ask_http("::1", self.http).startswith(b"HTTP/1.1 200") else 0), b""


def test_unspecified_ipv6_listeners_take_ipv4_too():
    with Six() as weir:
        for address in ("127.0.0.1", "::1"):
            assert ask_http(address, weir.http) == b"HTTP/1.1 200 OK"
            answer = send_to(address, weir.influx_tcp, socket.SOCK_STREAM, b"m v=1\n")
            assert answer.startswith(b"ok 1 0 "), answer
            before = weir.ledger()[0].get(("packets", "received"), 0)
            send_to(address, weir.influx_udp, socket.SOCK_DGRAM, b"m v=2\n")
            wait_for(lambda: weir.ledger()[0].get(("packets", "received"), 0) > before,
                     "the datagram is taken")
        # without a dataplane the socket is the supervisor's
        weir.replace("dataplane")
        assert not refused("127.0.0.1", weir.influx_tcp, socket.SOCK_STREAM)


def test_ipv6_only_keeps_ipv4_out():
    with Six("--ipv6-only", "true") as weir:
        assert refused("127.0.0.1", weir.http, socket.SOCK_STREAM)
        assert refused("127.0.0.1", weir.influx_tcp, socket.SOCK_STREAM)
        assert refused("127.0.0.1", weir.influx_udp, socket.SOCK_DGRAM)
        assert send_to("::1", weir.influx_tcp, socket.SOCK_STREAM, b"m v=1\n").startswith(b"ok 1 0")


def test_an_ipv4_listener_beside_keeps_its_own():
    with Six(beside=True) as weir:
        assert send_to("127.0.0.1", weir.influx_tcp, socket.SOCK_STREAM,
                       b"m v=1\n").startswith(b"ok 1 0 ")
        # the one on [::] is of another protocol
        assert send_to("::1", weir.influx_tcp, socket.SOCK_STREAM,
                       f"m 1 {int(time.time())}\n".encode()).startswith(b"ok 1 0 ")


# what is given up

def status(pid, thread):
    fields = {}
    with open(f"/proc/{pid}/task/{thread}/status") as file:
        for line in file:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
    return fields


def given_up(weir, name):
    pid = weir.pid(name)
    threads = os.listdir(f"/proc/{pid}/task")
    for thread in threads:
        fields = status(pid, thread)
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(fields[kind], 16) == 0, (name, fields["Name"], kind, fields[kind])
        assert fields["NoNewPrivs"] == "1", (name, fields["Name"])
    return len(threads)


def test_every_thread_but_the_supervisors_loses_all_capabilities():
    with Instance("--workers", "2", "--log-full", "recycle") as weir:
        assert weir.send_tcp(b"m v=1\n").startswith(b"ok 1 0 ")
        assert given_up(weir, "dataplane") >= 4
        given_up(weir, "controlplane")
        assert weir.log().count("event=sandbox process=dataplane") == 1
        assert weir.log().count("event=sandbox process=controlplane") == 1
        # the ring of the log took its restrictions, and works with them
        assert "ring_unrestricted" not in weir.log()
        # and so do those that are started again
        weir.replace("dataplane")
        weir.replace("controlplane")
        given_up(weir, "dataplane")
        given_up(weir, "controlplane")
        assert weir.send_tcp(b"m v=2\n").startswith(b"ok 1 0 ")
        assert len(weir.query("m_v")["series"]) == 1


def test_threads_of_dpdk_lose_them_too():
    if os.geteuid() != 0:
        raise tap.Skip("DPDK ports need root")
    with Instance("--port", "net_null0,no-rx=1") as weir:
        assert given_up(weir, "dataplane") >= 2
        assert "threads_left_out" not in weir.log(), weir.log()


def test_log_grows_and_is_recycled_with_what_is_left():
    with Instance("--log-full", "recycle", "--log-segment-size", "16MiB", "--log-size-max",
                  "64MiB", "--flush-interval", "5ms") as weir:
        def recycled():
            send = subprocess.run([os.path.join(BIN, "weir"), "send", "--tcp",
                                   f"127.0.0.1:{weir.influx_tcp}", "--generate", "400000",
                                   "--series", "20000"], stdout=subprocess.DEVNULL)
            assert send.returncode == 0
            return weir.metrics()["weir_log_samples_recycled_total"] > 0
        wait_for(recycled, "samples are recycled")
        assert "checkpoint_failed" not in weir.log(), weir.log()


def mappings(pid):
    """(start, end, what smaps says of it) of each mapping."""
    place = None
    with open(f"/proc/{pid}/smaps") as file:
        for line in file:
            if line.startswith("VmFlags:"):
                yield (*place, line.split()[1:])
            elif "-" in line.split()[0] and not line.split()[0].endswith(":"):
                place = [int(number, 16) for number in line.split()[0].split("-")]


def test_the_key_is_in_no_core_dump():
    if os.geteuid() != 0:
        raise tap.Skip("another process's memory is root's to read")
    with Instance() as weir:
        assert weir.send_tcp(b"m v=1\n").startswith(b"ok 1 0 ")
        with open(os.path.join(weir.data, "key"), "rb") as file:
            key = file.read()
        secrets = {key[at:at + 8] for at in range(0, len(key) - 7, 8)}
        found = list(mappings(weir.pid("dataplane")))
        with open(f"/proc/{weir.pid('dataplane')}/mem", "rb", 0) as memory:
            def content(start, end):
                try:
                    memory.seek(start)
                    return memory.read(end - start)
                except (OSError, OverflowError):
                    return b""  # the kernel's own, or a device's
            for start, end, flags in found:
                if "dd" in flags and end - start <= 16384:  # and what was made of it
                    made = content(start, end)
                    secrets |= {made[at:at + 8] for at in range(0, 64, 8)
                                if len(set(made[at:at + 8])) > 5}  # no counters of rings
            assert len(secrets) > len(key) // 8, "the expanded key lies apart"
            for start, end, flags in found:
                if "dd" in flags or end - start > 1 << 26:
                    continue  # the large tables are made of labels
                text = content(start, end)
                assert not any(secret in text for secret in secrets), (hex(start), flags)


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
