"""kill -9 at random moments under load; no acknowledged sample is lost, none is invented."""
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import tap
import wire
from instance import BIN, NIGHTLY, PATIENCE, Instance, bits, free_port, parse_ok, wait_for

KILLS = 200 if NIGHTLY else 20
LINES = 40
GROUP = 200  # packs whose series are asked for together: below query.series_max


class Sender(threading.Thread):
    """Sends packs of lines over TCP; remembers what was sent and what was acknowledged."""

    def __init__(self, weir, name, start):
        super().__init__(daemon=True)
        self.weir, self.name_, self.start_s = weir, name, start
        self.sent, self.acked, self.stop, self.groups = {}, {}, threading.Event(), 0

    def run(self):
        pack = 0
        source = random.Random(self.name_)
        while not self.stop.is_set():
            samples = {}
            for i in range(LINES):
                # a third of the series are new with each pack, so that definitions are in flight
                series = f"{pack}.{i}" if i % 3 == 0 else f"{i}"
                samples[(series, self.start_s + pack)] = source.uniform(-1e6, 1e6)
            self.sent.update(samples)
            text = "".join(f"kill,s={self.name_},g={pack // GROUP},n={n} v={v!r} {t * 10**9}\n"
                           for (n, t), v in samples.items())
            pack += 1
            self.groups = pack // GROUP + 1
            try:
                answer = parse_ok(self.weir.send_tcp(text.encode()))
            except OSError:
                time.sleep(0.02)
                continue
            if answer and answer[:2] == (LINES, 0):
                self.acked.update(samples)


def stored_samples(weir, sender):
    stored = {}
    for group in range(sender.groups):
        answer = weir.raw("kill_v", sender.start_s, sender.start_s + 100000, s=sender.name_, g=group)
        for labels, points in answer.items():
            stored.update({(dict(labels)["n"], int(t)): v for t, v in points})
    return stored


def check_sender(weir, sender):
    stored = stored_samples(weir, sender)
    for key, value in sender.acked.items():
        assert key in stored, f"acknowledged sample {sender.name_} {key} is lost"
    for key, value in stored.items():
        assert key in sender.sent, f"sample {sender.name_} {key} was never sent"
        assert bits(value) == bits(sender.sent[key]), (key, value, sender.sent[key])


def kill_all(weir):
    for name in ("supervisor", "dataplane", "controlplane"):
        weir.kill(name)
    weir.process.wait(PATIENCE)


def one_kill(weir, source):
    victim = source.choice(["dataplane", "controlplane", "all"])
    if victim == "all":
        kill_all(weir)
        began = time.monotonic()
        weir.start()
    else:
        began = time.monotonic()
        weir.replace(victim)
    return time.monotonic() - began


def test_kill_nine_loses_nothing_acknowledged_and_invents_nothing():
    seed = int(os.environ.get("WEIR_SEED", "0")) or random.randrange(1 << 30)
    print(f"# WEIR_SEED={seed}")
    source = random.Random(seed)
    start = int(time.time()) - 100000
    slowest = 0
    with Instance("--series-max", "4000000", "--log-size-max", "32GiB") as weir:
        senders = [Sender(weir, f"s{i}", start) for i in range(3)]
        for sender in senders:
            sender.start()
        for _ in range(KILLS):
            time.sleep(source.uniform(0.05, 0.8))
            slowest = max(slowest, one_kill(weir, source))
        wait_for(lambda: sum(len(s.acked) for s in senders) > KILLS * LINES / 4, "enough is sent")
        for sender in senders:
            sender.stop.set()
            sender.join()
        acked = sum(len(s.acked) for s in senders)
        print(f"# {KILLS} kills, {acked} acknowledged samples, slowest restart {slowest:.2f} s")
        for sender in senders:
            check_sender(weir, sender)
        _, residual = weir.ledger()
        assert set(residual.values()) == {0}, residual


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_children_go_when_their_supervisor_dies():
    with Instance("--flush-interval", "60s") as weir:
        children = [weir.pid("dataplane"), weir.pid("controlplane")]
        now = int(time.time())
        weir.send_udp(f"last f=1 {now * 10**9}".encode())
        wait_for(lambda: weir.ledger()[0].get(("samples", "in_flight")) == 1, "it is in a batch")
        weir.kill("supervisor")
        weir.process.wait(PATIENCE)
        wait_for(lambda: not any(alive(pid) for pid in children), "children are gone")
        weir.start()
        assert weir.raw("last_f", now, now + 1) == {(): [(now, 1.0)]}, "flushed before the end"


def test_a_dataplane_that_hangs_is_told_and_left_alone():
    def health():
        status, body = weir.get("/healthz")
        return status, json.loads(body)

    def hangs_told():
        return weir.log().count("event=dataplane_hangs")

    def beats_while_idle():
        before = hangs_told()
        time.sleep(4)  # longer than a hang takes to be seen
        return health()[0] == 200 and hangs_told() == before

    with Instance() as weir:
        # a machine that stands still hangs with all that is on it, but not each time
        assert any(beats_while_idle() for _ in range(10)), weir.log()
        before = hangs_told()
        stopped = weir.kill("dataplane", signal.SIGSTOP)

        def said_to_hang():
            status, body = health()
            return status == 503 and body["reason"] == "dataplane_hangs" and body
        body = wait_for(said_to_hang, "/healthz says that it hangs")
        assert body["ingest"] == "dataplane_hangs", body
        if weir.get("/metrics")[0] == 200:  # not so if it stopped amid a publication of its counts
            assert weir.metrics()["weir_dataplane_heartbeat_age_seconds"] > 3
        wait_for(lambda: hangs_told() > before, "the event")
        time.sleep(2.5)  # the supervisor looks once a second
        assert hangs_told() == before + 1, weir.log()
        weir.kill("dataplane", signal.SIGCONT)
        wait_for(lambda: health()[0] == 200, "/healthz is well again")
        wait_for(lambda: "event=dataplane_answers" in weir.log(), "the event")
        assert weir.pid("dataplane") == stopped, "the same one"


def test_the_http_port_outlives_the_control_plane():
    with Instance() as weir:
        taken, stop = [], threading.Event()

        def stranger():
            while not stop.is_set():
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    try:
                        probe.bind(("127.0.0.1", weir.http))
                        probe.listen()
                        taken.append(time.monotonic())
                    except OSError:
                        pass

        thread = threading.Thread(target=stranger, daemon=True)
        thread.start()
        try:
            for _ in range(3):
                dead = weir.kill("controlplane")
                wait_for(lambda: not alive(dead), "it is gone")
                # whoever comes now waits for the next one, which has yet to read the log
                assert weir.get("/healthz")[0] in (200, 503)
                weir.wait_open()
        finally:
            stop.set()
            thread.join()
        assert not taken, "nobody else can have it"


def test_sigterm_ends_under_load():
    with Instance() as weir:
        sender = Sender(weir, "t", int(time.time()) - 1000)
        sender.start()
        wait_for(lambda: sender.acked, "it is under load")
        time.sleep(1)
        began = time.monotonic()
        assert weir.stop() == 0
        print(f"# ended in {time.monotonic() - began:.2f} s")
        sender.stop.set()
        sender.join()
        weir.start()
        check_sender(weir, sender)


def test_two_instances_side_by_side():
    with Instance() as one, Instance() as two:
        now = int(time.time())
        assert parse_ok(one.send_tcp(f"m,i=1 f=1 {now * 10**9}\n".encode()))
        assert parse_ok(two.send_tcp(f"m,i=2 f=2 {now * 10**9}\n".encode()))
        assert list(one.raw("m_f", now, now + 1)) == [(("i", "1"),)]
        assert list(two.raw("m_f", now, now + 1)) == [(("i", "2"),)]
        second = Instance(data=one.data)
        second.start(wait=False)
        assert second.process.wait(PATIENCE) != 0, "the same data directory is refused"
        for port in ("http", "influx_udp", "influx_tcp"):
            third = Instance()
            setattr(third, port, getattr(one, port))
            third.start(wait=False)
            try:
                assert third.process.wait(PATIENCE) != 0, f"a taken {port} is refused"
                assert "weir is ready" not in third.log()
                assert re.search(fr"127\.0\.0\.1(:| port ){getattr(one, port)}\b.*in use",
                                 third.log())
                assert (third.pid("dataplane") is None) and \
                    ("child_started" not in third.log() or port != "http"), "HTTP comes first"
            finally:
                third.__exit__(*sys.exc_info())
        one.replace("dataplane")
        assert list(two.raw("m_f", now, now + 1)) == [(("i", "2"),)]


def test_a_start_that_cannot_succeed_is_not_tried_again():
    with Instance() as weir:
        now = int(time.time())
        lines = "".join(f"m,i={i} f={i} {now * 10**9}\n" for i in range(30))
        assert parse_ok(weir.send_tcp(lines.encode()))[0] == 30
        weir.stop()

        def refused(reason, *options):
            other = Instance(*options, data=weir.data)
            os.unlink(other.log_path)
            other.start(wait=False)
            assert other.process.wait(PATIENCE) == 2
            assert reason in other.log() and "start_refused child=dataplane" in other.log()
            assert other.log().count("child_started child=dataplane") == 1
        refused(f'"series.max is 10, and data {weir.data} holds 30 series"', "--series-max", "10")
        refused("bind UDP 192.0.2.1 port", "--influx-udp", "192.0.2.1:8089")
        if os.geteuid() == 0:
            refused("port net_nonexistent0: the driver is not one", "--port", "net_nonexistent0")
            refused("interface nosuch", "--port", "net_af_packet0,iface=nosuch")
            refused("interface nosuch", "--port", "net_af_xdp0,iface=nosuch")
            if os.path.exists(os.path.join(BIN, "weir_xdp.bpf.o")):
                refused("the driver of interface lo ", "--port", "net_af_xdp0,iface=lo")
        log = os.path.join(weir.data, "log", "0", "%016x.seg" % 0)
        os.rename(log, log + ".kept")
        os.mkfifo(log)  # which an open would wait for
        refused("is no regular file")
        os.unlink(log)
        os.rename(log + ".kept", log)
        with open(os.path.join(weir.data, "key"), "w") as file:
            file.write("short")
        weir.start()
        assert "event=key_lost" in weir.log()
        assert os.path.getsize(os.path.join(weir.data, "key")) == 32
        assert len(weir.raw("m_f", now, now + 1)) == 30


def test_a_full_log_refuses_by_name_and_serves_reads():
    with Instance("--log-size-max", "32MiB", "--log-segment-size", "16MiB") as weir:
        now = int(time.time())
        assert parse_ok(weir.send_tcp(f"first f=1 {now * 10**9}\n".encode()))[:2] == (1, 0)
        source = random.Random(1)
        refused = 0
        values = "".join(f"fill,h={i} f={source.random()!r} TIME\n" for i in range(20000))
        for pack in range(400):
            text = values.replace("TIME", str(now * 10**9 + pack * 10**6)).encode()
            answer = weir.send_tcp(text)
            if answer == b"error disk_full\n":
                continue  # accepted into memory, not durable: no promise
            assert parse_ok(answer), answer
            refused = parse_ok(answer)[1]
            if refused:
                break
        assert refused == 20000, "the log never filled"
        assert weir.reason("records", "rejected", "disk_full") >= refused
        assert weir.raw("first_f", now, now + 1) == {(): [(now, 1.0)]}
        status, body = weir.get("/healthz")
        assert status == 503 and b"disk_full" in body, (status, body)
        # what waits for room does not keep the children when their supervisor dies
        children = [weir.pid("dataplane"), weir.pid("controlplane")]
        weir.kill("supervisor")
        weir.process.wait(PATIENCE)
        wait_for(lambda: not any(alive(pid) for pid in children), "children are gone")
        cut_short = re.findall(r"event=stop_cut_short (.*)", weir.log())
        assert set(cut_short) <= {"after_ms=500 log_takes_nothing=1"}, cut_short
        weir.start()
        assert weir.stop() == 0
        weir.options = ["--log-size-max", "1GiB", "--log-segment-size", "16MiB"]
        weir.start()
        assert parse_ok(weir.send_tcp(f"after f=1 {now * 10**9}\n".encode()))[:2] == (1, 0)


def counter(weir, name):
    return sum(v for k, v in weir.metrics().items() if k.startswith(f"weir_{name}_total"))


def pack_values(pack, count):
    source = random.Random(pack)
    return [source.random() for _ in range(count)]


def check_retained(weir, now, packs, hosts):
    """Of each series there is every sample of the last packs, whole; returns the packs it spans."""
    kept = packs
    for host in random.Random(7).sample(range(hosts), 20):
        points = weir.raw("fill_f", now, now + 1000, h=host)[(("h", str(host)),)]
        assert 0 < len(points) <= packs, len(points)
        first = packs - len(points)
        wanted = [(now + p, pack_values(p, hosts)[host]) for p in range(first, packs)]
        assert points == wanted, (host, points[:3], wanted[:3])
        kept = min(kept, len(points))
    return kept


def test_a_recycled_log_keeps_names_and_sender_state_and_refuses_nothing():
    hosts, port = 20000, free_port(socket.SOCK_DGRAM)
    with Instance("--log-size-max", "64MiB", "--log-segment-size", "16MiB", "--log-full", "recycle",
                  "--weir-udp", f"127.0.0.1:{port}") as weir:
        now = int(time.time()) - 2000
        channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        channel.connect(("127.0.0.1", port))
        sender = wire.Sender(31)
        early = [sender.values(now * 1000 + i, [float(i)] * 10) for i in range(3)]
        channel.send(sender.define())
        for packet in early:
            channel.send(packet)
        wait_for(lambda: weir.ledger()[0].get(("samples", "stored"), 0) == 30, "all is stored")
        assert parse_ok(weir.send_tcp(f"first f=1 {now * 10**9}\n".encode()))[:2] == (1, 0)
        recycled, packs, kills = 0, 0, 0
        while recycled < 5:
            assert packs < 1000, "the log does not turn over"
            values = pack_values(packs, hosts)
            text = "".join(f"fill,h={h} f={v!r} {(now + packs) * 10**9}\n"
                           for h, v in enumerate(values))
            assert parse_ok(weir.send_tcp(text.encode()))[:2] == (hosts, 0)
            packs += 1
            if packs % 10 != 0:
                continue
            assert set(weir.ledger()[1].values()) == {0}, weir.ledger()
            assert weir.reason("records", "rejected", "disk_full") == 0
            if counter(weir, "log_segments_recycled") < 2:
                continue
            # as often as that, in the midst of it
            recycled += int(counter(weir, "log_segments_recycled"))
            series = weir.metrics()["weir_series"]
            if kills % 2 == 0:
                weir.replace("dataplane")
            else:
                kill_all(weir)
                weir.start()
            kills += 1
            assert weir.metrics()["weir_series"] == series
        assert kills >= 2
        check_retained(weir, now, packs, hosts)
        assert weir.metrics()["weir_log_bytes"] <= 64 << 20
        assert weir.metrics()["weir_log_first_offset"] > 0
        # what was before is gone; the series is there, and nobody else has its number
        assert weir.raw("first_f", now, now + 1) in ({}, {(): []})
        assert parse_ok(weir.send_tcp(f"first f=2 {now * 10**9}\n".encode()))[:2] == (1, 0)
        assert weir.raw("first_f", now, now + 1) == {(): [(now, 2.0)]}
        assert weir.metrics()["weir_series"] == series
        # so is the sender state: what has come is a duplicate, and the template is known
        stored = weir.ledger()[0][("samples", "stored")]
        for packet in early:
            channel.send(packet)
        wait_for(lambda: counter(weir, "sequence_duplicates") == 3, "duplicates are seen")
        channel.send(sender.values((now + 900) * 1000, [9.5] * 10))
        wait_for(lambda: weir.ledger()[0][("samples", "stored")] == stored + 10, "it is stored")
        found = weir.raw(sender.name, now, now + 1000)
        assert {int(dict(k)["i"]): v for k, v in found.items() if v} == \
            {i: [(now + 900, 9.5)] for i in range(10)}, found
        assert set(weir.ledger()[1].values()) == {0}, weir.ledger()
        assert weir.stop() == 0
        weir.start()
        check_retained(weir, now, packs, hosts)


def test_without_standard_descriptors_events_go_nowhere():
    with Instance() as weir:
        weir.stop()
        command = weir.command()
        weir.command = lambda: ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]
        weir.start()
        now = int(time.time())
        assert parse_ok(weir.send_tcp(f"m f=1 {now * 10**9}\n".encode()))[:2] == (1, 0)
        assert weir.raw("m_f", now, now + 1) == {(): [(now, 1.0)]}
        assert weir.stop() == 0
        for name in ("lock", "run/dataplane.lock"):
            assert os.path.getsize(os.path.join(weir.data, name)) == 0, name


def test_a_lost_segment_and_key_cost_their_own_samples_alone():
    with Instance("--log-size-max", "1GiB", "--log-segment-size", "16MiB") as weir:
        now = int(time.time())
        segments = os.path.join(weir.data, "log", "0")
        values = "".join(f"fill,h={i} f={i * 1.1!r} TIME\n" for i in range(20000))
        for pack in range(400):
            text = values.replace("TIME", str(now * 10**9 + pack * 10**6)).encode()
            assert parse_ok(weir.send_tcp(text))[:2] == (20000, 0)
            if sum(name.endswith(".seg") for name in os.listdir(segments)) >= 4:  # one ahead
                break
        assert parse_ok(weir.send_tcp(f"last f=1 {now * 10**9}\n".encode()))[:2] == (1, 0)
        weir.stop()
        middle = os.path.join(segments, "%016x.seg" % 1)
        os.truncate(middle, 8388621)
        os.unlink(os.path.join(weir.data, "key"))
        for event in ("segment_damaged", "segment_missing"):
            weir.start()
            assert f"event={event}" in weir.log() and "event=key_lost" in weir.log()
            assert weir.raw("last_f", now, now + 1) == {(): [(now, 1.0)]}
            for _, v in weir.raw("fill_f", now, now + 10, h=7)[(("h", "7"),)]:
                assert v == 7 * 1.1, v
            status, body = weir.get("/healthz")
            assert status == 200 and b'"damage":{"frames_corrupt":1' in body, (status, body)
            _, body = weir.get(f"/api/v1/metrics/query?metric=last_f&from={now}&to={now + 1}")
            assert b'"warnings":["' in body, body
            after = f"{event} f=2 {now * 10**9}\n"
            assert parse_ok(weir.send_tcp(after.encode()))[:2] == (1, 0)
            weir.stop()
            if os.path.exists(middle):
                os.unlink(middle)


def test_the_sync_back_end_gives_the_same_answers():
    with Instance("--io", "sync") as weir:
        now = int(time.time())
        assert parse_ok(weir.send_tcp(f"m f=1 {now * 10**9}\n".encode()))[:2] == (1, 0)
        weir.replace("dataplane")
        assert weir.raw("m_f", now, now + 1) == {(): [(now, 1.0)]}
        assert "io=sync" in weir.log()


def test_weir_filter_that_was_stopped_still_gets_its_answer():
    with tempfile.TemporaryDirectory() as data, socket.socket(socket.AF_UNIX) as listener:
        os.mkdir(os.path.join(data, "run"))
        listener.bind(os.path.join(data, "run/supervisor.sock"))
        listener.listen()
        client = subprocess.Popen([os.path.join(BIN, "weir"), "filter", "--data", data, "show"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(100) == b"show\n"
            time.sleep(0.2)  # it waits for the answer
            client.send_signal(signal.SIGSTOP)
            time.sleep(0.2)
            client.send_signal(signal.SIGCONT)
            time.sleep(0.2)  # what is interrupted has ended
            connection.sendall(b"ok\nall of it\n")
        assert client.communicate(timeout=PATIENCE) == ("all of it\n", "")
        assert client.returncode == 0


def test_without_root_and_with_a_small_memory_lock():
    if os.geteuid() != 0:
        raise tap.Skip("already without root: every other test shows it")
    data = "/var/tmp/weir-e2e-nobody-%d" % os.getpid()
    os.mkdir(data)
    os.chown(data, 65534, 65534)
    try:
        weir = Instance(data=data + "/made", user=65534)
        weir.log_path = data + ".log"
        command = weir.command()
        weir.command = lambda: ["prlimit", "--memlock=8388608:8388608", *command]
        try:
            reachable = subprocess.run(["test", "-x", os.path.join(weir.binaries, "weir")],
                                       user=65534).returncode == 0
            if not reachable:
                raise tap.Skip("the build folder is not readable for other users")
            with weir:
                now = int(time.time())
                assert parse_ok(weir.send_tcp(f"m f=1 {now * 10**9}\n".encode()))[:2] == (1, 0)
                assert weir.raw("m_f", now, now + 1) == {(): [(now, 1.0)]}
        finally:
            if os.path.exists(weir.log_path):
                os.unlink(weir.log_path)
    finally:
        shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
