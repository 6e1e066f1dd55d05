"""AF_XDP: real frames over veth, the XDP program's verdicts, rules, kills and leftovers."""
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

import tap
from instance import BIN, PATIENCE, Instance, wait_for
from test_ports import WEIR_ADDRESS, Veth, run

OTHER_ADDRESS = "192.0.2.9"


def may_bpf():
    """Whether the kernel makes a BPF map for us: bpf(BPF_MAP_CREATE) of an array of one."""
    attributes = (ctypes.c_uint32 * 32)(2, 4, 4, 1)
    fd = ctypes.CDLL(None).syscall(321, 0, ctypes.byref(attributes), ctypes.sizeof(attributes))
    if fd >= 0:
        os.close(fd)
    return fd >= 0


class Xdp(Veth):
    """A veth pair whose near end has the address that Weir's kernel socket is bound to."""

    def __init__(self, suffix=""):
        super().__init__(suffix)
        if not os.path.exists(os.path.join(BIN, "weir_xdp.bpf.o")):
            raise tap.Skip("built without the XDP program")
        if not may_bpf():
            raise tap.Skip("BPF is not allowed here")

    def __enter__(self):
        super().__enter__()
        try:
            self.inside("ip", "addr", "add", f"{OTHER_ADDRESS}/24", "dev",
                        self.far)
            run("ip", "addr", "add", f"{WEIR_ADDRESS}/32", "dev", self.near)
        except BaseException:
            self.__exit__()
            raise
        return self

    def send(self, weir, count, start=0, source=None, pause=0.0):
        """Sends datagrams `x,h=H f=N T`, N from start on, each with a time of its own."""
        return subprocess.Popen(["ip", "netns", "exec", self.space, sys.executable, "-c", (
            "import socket, time\n"
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            f"s.bind(('{source or '0.0.0.0'}', 0))\n"
            f"s.connect(('{WEIR_ADDRESS}', {weir.influx_udp}))\n"
            f"for i in range({start}, {start + count}):\n"
            f"    s.send(b'x,h=%d f=%d %d' % (i % 50, i, ({weir.base} + i) * 10**6))\n"
            f"    if {pause} and i % 20 == 0: time.sleep({pause})\n")])

    def send_until_told(self, weir):
        """Like send(), without end: closing the standard input ends it, and it prints how many."""
        return subprocess.Popen(["ip", "netns", "exec", self.space, sys.executable, "-c", (
            "import select, socket, sys\n"
            "s, i = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0\n"
            f"s.connect(('{WEIR_ADDRESS}', {weir.influx_udp}))\n"
            "while not select.select([sys.stdin], [], [], 0.005)[0]:\n"
            "    for i in range(i + 1, i + 21):\n"
            f"        s.send(b'x,h=%d f=%d %d' % (i % 50, i, ({weir.base} + i) * 10**6))\n"
            "print(i)\n")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def program(self):
        """Id of the program on the near end, or None."""
        link = json.loads(run("ip", "-d", "-j", "link", "show", "dev", self.near))[0]
        return link.get("xdp", {}).get("prog", {}).get("id")


class XdpInstance(Instance):
    def __init__(self, veth, *options, **named):
        super().__init__("--port", f"net_af_xdp0,iface={veth.near}", "--no-huge", *options,
                         **named)
        self.base = int(time.time()) * 1000 - 600_000

    def command(self):
        command = super().command()
        command[command.index("--influx-udp") + 1] = f"{WEIR_ADDRESS}:{self.influx_udp}"
        return command

    def filter(self, *words, fails=False):
        done = subprocess.run([os.path.join(BIN, "weir"), "filter", "--data", self.data, *words],
                              capture_output=True, text=True)
        assert (done.returncode != 0) == fails, (words, done.returncode, done.stderr)
        return done.stderr if fails else done.stdout

    def counters(self):
        """XDP and XSK counters, and packets and samples of the ledger."""
        values = self.metrics()
        out = {name[len("weir_"):-len("_total")]: int(value) for name, value in values.items()
               if name.startswith(("weir_xdp_", "weir_xsk_"))}
        sums, residual = self.ledger()
        assert set(residual.values()) == {0}, residual
        out["received"] = int(sums[("packets", "received")])
        out["stored"] = int(sums[("samples", "stored")])
        return out

    def quiet(self, total):
        """Waits until `total` datagrams have met a fate; returns the counters."""
        last = {}

        def done():
            last.update(self.counters())
            return fates(last) == total and last["stored"] == last["received"]
        try:
            wait_for(done, f"{total} datagrams accounted for")
        except AssertionError as error:
            raise AssertionError(f"{error}: {last}") from None
        return last


def fates(counters):
    """What became of the datagrams that the program met: each in one of these."""
    return (counters["received"] + counters["xsk_dropped"] + counters["xsk_ring_full"] +
            counters["xdp_denied"] + counters["xdp_martian"] + counters["xdp_malformed"] +
            counters["xdp_fragments"] + counters["xdp_limited"])


def finish(sender):
    assert sender.wait(PATIENCE) == 0


def test_samples_come_through_and_every_frame_is_accounted_for():
    with Xdp() as veth, XdpInstance(veth) as weir:
        finish(veth.send(weir, 20000))
        sent = 20000 - veth.sender_drops()
        counters = weir.quiet(sent)
        # the program's counters are read once a second
        wait_for(lambda: weir.counters()["xdp_redirected"] == sent, f"{sent} redirected")
        assert counters["stored"] == counters["received"], counters
        assert "mode=native" in weir.log()
        stored = weir.raw("x_f", weir.base / 1000, weir.base / 1000 + 60)
        values = sorted(v for points in stored.values() for _, v in points)
        assert len(values) == len(set(values)) == counters["received"]


def test_losses_of_a_dataplane_that_stands_still_are_named_exactly():
    with Xdp() as veth, XdpInstance(veth) as weir:
        finish(veth.send(weir, 100))
        weir.quiet(100)
        weir.kill("dataplane", signal.SIGSTOP)
        finish(veth.send(weir, 10000, start=100))
        weir.kill("dataplane", signal.SIGCONT)
        counters = weir.quiet(10100 - veth.sender_drops())
        lost = counters["xsk_dropped"] + counters["xsk_ring_full"]
        assert lost > 1000, counters
        assert counters["received"] + lost == counters["xdp_redirected"], counters


def test_buffers_come_round_undiminished():
    """The driver's 2,048 buffers are all there again after every one of the pool's was in use."""
    with Xdp() as veth, XdpInstance(veth) as weir:
        sent = 0
        for _ in range(8):
            weir.kill("dataplane", signal.SIGSTOP)
            finish(veth.send(weir, 2000, start=sent, pause=0.001))
            weir.kill("dataplane", signal.SIGCONT)
            sent += 2000
            counters = weir.quiet(sent - veth.sender_drops())
        assert counters["received"] == sent - veth.sender_drops(), counters


def bench(proto, *options):
    """A short run of the benchmark's generator; figures of the machine are not looked at."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as data:
        done = subprocess.run([os.path.join(BIN, "weir"), "bench", "--source", "veth", "--proto",
                               proto, "--series", "2400", "--rate", "2000", "--seconds", "1",
                               "--json", "--data", data, *options],
                              capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    report = json.loads(done.stdout)
    lost = sum(report[name] for name in (
        "interface_drops", "socket_drops", "xsk_dropped", "xsk_ring_full", "xdp_denied",
        "xdp_martian", "xdp_malformed", "xdp_fragments", "xdp_limited", "xdp_no_socket"))
    assert report["frames_sent"] == report["frames_received"] + lost > 100, report
    assert report["frames_unaccounted"] == report["ledger_residual"] == 0, report
    assert report["durable"] == report["queryable"] > 0, report
    # a frame that was lost took its samples with it, and no other is missing: an agent's 200 numbers
    # come in frames of 164 and 36; those filled to a size hold one line more or less
    gone = report["samples_sent"] - report["durable"]
    if "--payload" in options:
        mean = report["frame_samples"]
        assert lost * (mean - 1) <= gone <= lost * (mean + 1), report
    else:
        least, most = {"influx": (12, 12), "graphite": (12, 12), "weir": (36, 164)}[proto]
        assert report["samples_sent"] == report["frames_sent"] * (least + most) // 2, report
        large, rest = divmod(gone - lost * least, max(most - least, 1))
        assert rest == 0 and 0 <= large <= (lost if most > least else 0), (gone, lost, report)
    whole = report["samples_sent"] // report["series"] * report["series"]  # passes
    assert report["compared"] == min(10000, whole) > 0, report
    assert report["cpus"] >= 1 and report["cpu"] and report["simd"] and report["syncs"] > 0, report
    assert report["dataplane_resident_bytes"] > 1 << 20, report
    assert report["mismatched"] == 0 and report["missing"] <= gone, report
    return report


def test_bench_reads_back_what_its_frames_of_lines_held():
    with Xdp():  # skips where it cannot run
        pass
    bench("influx")


def test_bench_reads_back_what_came_through_the_kernels_own_stack():
    with Xdp():
        pass
    report = bench("influx", "--socket")
    assert report["receiver"] == "kernel UDP", report
    assert report["samples_sent"] == report["frames_sent"] * 12, report


def test_bench_reads_back_what_came_over_four_ports():
    with Xdp():
        pass
    report = bench("influx", "--pairs", "4")
    assert report["samples_sent"] == report["frames_sent"] * 12, report


def test_bench_fills_datagrams_with_whole_lines():
    with Xdp():
        pass
    small = bench("influx", "--socket", "--payload", "512")
    assert 4 <= small["frame_samples"] < 5 and small["frame_bytes"] <= 42 + 512, small
    full = bench("influx", "--payload", "1432")
    assert 13 <= full["frame_samples"] < 14 and full["frame_bytes"] <= 42 + 1432, full


def test_bench_reads_back_what_its_frames_of_graphite_held():
    """Over AF_XDP with a host's lines each, and over two ports filled; times are whole seconds."""
    with Xdp():
        pass
    report = bench("graphite")
    assert report["receiver"] == "AF_XDP" and report["proto"] == "graphite", report
    assert report["samples_sent"] == report["frames_sent"] * 12, report
    full = bench("graphite", "--payload", "1432", "--pairs", "2")
    assert 14.5 <= full["frame_samples"] < 15.5 and full["frame_bytes"] <= 42 + 1432, full


def test_bench_reads_back_what_graphite_came_through_the_kernels_own_stack():
    with Xdp():
        pass
    report = bench("graphite", "--socket")
    assert report["receiver"] == "kernel UDP", report
    assert report["samples_sent"] == report["frames_sent"] * 12, report


def test_bench_reads_back_what_its_frames_of_the_weir_protocol_held():
    with Xdp():
        pass
    bench("weir")


def child_running(process, *words):
    """Pid of the child of `process` whose command line begins with words, or None."""
    assert process.poll() is None, f"{process.args[:2]} ended with {process.returncode}"
    begin = b"\0".join(word.encode() for word in words) + b"\0"
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
        pids = file.read().split()
    for pid in pids:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if file.read().startswith(begin):
                    return int(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue  # a child that has ended since
    return None


def test_bench_that_is_killed_leaves_no_instance_behind():
    with Xdp():
        pass
    with tempfile.TemporaryDirectory(dir="/var/tmp") as data:
        bench_run = subprocess.Popen([os.path.join(BIN, "weir"), "bench", "--source", "veth",
                                      "--rate", "2000", "--seconds", "60", "--data", data],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        pid = None
        try:
            pid = wait_for(lambda: child_running(bench_run, "weir", "run"),
                           "the bench's instance")
            bench_run.kill()
            bench_run.wait()
            wait_for(lambda: not process_lives(pid), "its end")
        finally:
            bench_run.kill()
            bench_run.wait()
            if pid is not None and process_lives(pid):
                os.kill(pid, signal.SIGTERM)
            subprocess.run(["ip", "link", "del", f"wbn{bench_run.pid % 100000}_0"],
                           capture_output=True)


def test_rules_hold_from_the_next_packet_and_drops_are_counted():
    with Xdp() as veth, XdpInstance(veth) as weir:
        weir.filter("deny", "192.0.2.0/24")
        weir.filter("allow", OTHER_ADDRESS)
        finish(veth.send(weir, 300))
        finish(veth.send(weir, 200, source=OTHER_ADDRESS))
        counters = weir.quiet(500)
        assert counters["xdp_denied"] == 300 and counters["received"] == 200, counters
        shown = weir.filter("show")
        assert f"port {veth.near} program {veth.program()} native" in shown, shown
        assert "denied     300" in shown and "redirected 200" in shown, shown
        assert "deny 192.0.2.0/24" in shown and f"allow {OTHER_ADDRESS}/32" in shown, shown
        weir.filter("remove", "192.0.2.0/24")
        weir.filter("limit", "1", "40")
        finish(veth.send(weir, 100, start=1000))
        counters = weir.quiet(600)
        # the bucket may have got a token or two back meanwhile
        assert 50 <= counters["xdp_limited"] <= 60, counters
        for words in (["deny", "nobody"], ["deny", "10.0.0.1/8"], ["limit", "0"], ["erase"],
                      ["remove", "10.0.0.0/8"]):
            assert weir.filter(*words, fails=True)
        assert "limit 1 40" in weir.filter("show")


def test_rules_change_while_traffic_flows_and_outlive_a_restart():
    with Xdp() as veth:
        weir = XdpInstance(veth)
        with weir:
            sender = veth.send_until_told(weir)
            try:
                wait_for(lambda: weir.counters()["received"] > 0, "some came")
                for _ in range(15):
                    weir.filter("deny", "192.0.2.1")
                    time.sleep(0.03)
                    weir.filter("remove", "192.0.2.1")
                    time.sleep(0.03)
                weir.filter("deny", "192.0.2.1")
                wait_for(lambda: weir.counters()["xdp_denied"] > 0, "some were denied")
            finally:
                sent, _ = sender.communicate()
            weir.quiet(int(sent) - veth.sender_drops())
            weir.stop()
            assert veth.program() is None
            weir.start()
            finish(veth.send(weir, 10))
            assert weir.quiet(10)["xdp_denied"] == 10
            weir.kill("dataplane")
            wait_for(lambda: weir.log().count("event=xdp_open") >= 3, "a third dataplane")
            weir.wait_open()
            finish(veth.send(weir, 10))
            assert weir.quiet(10)["xdp_denied"] == 10


def test_killed_dataplane_loses_no_packet_that_comes_afterwards():
    with Xdp() as veth, XdpInstance(veth) as weir:
        finish(veth.send(weir, 500))
        weir.quiet(500)
        for life in range(3):
            program = veth.program()
            weir.kill("dataplane")
            # to the kernel's socket, which the supervisor holds, then to the new AF_XDP one
            finish(veth.send(weir, 300, start=1000 + life * 1000, pause=0.002))
            wait_for(lambda: weir.log().count("event=xdp_open") >= 2 + life, "a new one")
            weir.wait_open()
            assert weir.quiet(300)["stored"] == 300
            assert veth.program() not in (None, program), "the leftover is gone"
    assert not os.path.exists(f"/sys/class/net/{veth.near}")


def test_program_that_a_killed_instance_left_is_detached_at_the_next_start():
    with Xdp() as veth:
        weir = XdpInstance(veth)
        with weir:
            supervisor = weir.pid("supervisor")
            os.kill(supervisor, signal.SIGSTOP)
            weir.kill("dataplane")
            os.kill(supervisor, signal.SIGKILL)
            weir.process.wait()
            left = veth.program()
            assert left is not None
            wait_for(lambda: not process_lives(weir.pid("controlplane")), "all are gone")
            weir.start()
            assert veth.program() not in (None, left)
            finish(veth.send(weir, 50))
            assert weir.quiet(50)["stored"] == 50
        assert veth.program() is None


def process_lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_program_of_somebody_else_is_never_touched():
    with Xdp() as veth:
        attach = ["ip", "link", "set", "dev", veth.near, "xdp", "obj",
                  os.path.join(BIN, "weir_xdp.bpf.o"), "sec", "xdp"]
        done = subprocess.run(attach, capture_output=True, text=True)
        if done.returncode != 0:
            raise tap.Skip("this ip cannot attach a program: " + done.stderr.strip())
        foreign = veth.program()
        weir = XdpInstance(veth)
        weir.start(wait=False)
        try:
            assert weir.process.wait(PATIENCE) == 2, "refused at its first start"
            assert "that is not ours is on " + veth.near in weir.log()
            assert veth.program() == foreign
            run("ip", "link", "set", "dev", veth.near, "xdp", "off")
            weir.start()
            assert veth.program() not in (None, foreign)
            # another one in our place: it stays, while we run and when we end
            run("ip", "-force", *attach[1:])
            other = veth.program()
            weir.stop()
            assert veth.program() == other
        finally:
            weir.__exit__(None, None, None)


def test_two_instances_do_not_disturb_each_other():
    with Xdp("a") as left, Xdp("b") as right:
        # the address is on both ends; which interface a frame comes by decides
        with XdpInstance(left) as one:
            two = XdpInstance(right)
            two.influx_udp = one.influx_udp + 1 if one.influx_udp < 65535 else 1025
            with two:
                one.filter("deny", "192.0.2.1")
                finish(left.send(one, 100))
                finish(right.send(two, 100))
                assert one.quiet(100)["xdp_denied"] == 100
                assert two.quiet(100)["stored"] == 100
                assert "deny" not in two.filter("show").replace("denied", "")
                program = right.program()
                one.kill("dataplane")
                wait_for(lambda: one.log().count("event=xdp_open") >= 2, "a new one")
                one.stop()
                assert right.program() == program and left.program() is None
                finish(right.send(two, 100, start=500))
                assert two.quiet(200)["stored"] == 200


def test_strangers_at_the_supervisors_socket_change_nothing():
    with Xdp() as veth, XdpInstance(veth) as weir:
        path = os.path.join(weir.data, "run/supervisor.sock")
        assert os.stat(path).st_mode & 0o777 == 0o600

        def say(*pieces):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(PATIENCE)
                client.connect(path)
                for piece in pieces:
                    client.sendall(piece)
                    time.sleep(0.5 if len(pieces) > 1 else 0)  # a slow one is heard to its end
                client.shutdown(socket.SHUT_WR)  # half a line ends here, and is answered
                return client.recv(4096)
        silent = socket.socket(socket.AF_UNIX)
        silent.connect(path)
        for data in (b"\n", b"deny\t10.0.0.1\n", b"\x00\xff\n", b'deny "x"\n', b"x" * 400 + b"\n",
                     b"deny 10.0.0.1", b"show all\n"):
            try:
                answer = say(data)
            except (ConnectionResetError, BrokenPipeError):
                answer = b"error"
            assert answer.startswith(b"error"), (data, answer)
        silent.close()
        assert say(b"deny 10.0.0.3\n") == say(b"remove 10.0", b".0.3\n") == b"ok\n"
        assert say(b"deny 10.0.0.1\ndeny 10.0.0.2\n") == b"ok\n"
        assert weir.filter("show").endswith("limit off\ndeny 10.0.0.1/32\n")


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
