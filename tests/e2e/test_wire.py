"""The weir protocol end to end: exact counts of what was lost, doubled and overtaken; restarts."""
import json
import os
import random
import select
import socket
import struct
import subprocess
import sys
import threading
import time

import tap
import wire
from instance import BIN, PATIENCE, Instance, bits, free_port, wait_for


class Wire(Instance):
    def __init__(self, *options, **named):
        self.weir_udp = free_port(socket.SOCK_DGRAM)
        self.weir_tcp = free_port()
        super().__init__("--weir-udp", f"127.0.0.1:{self.weir_udp}",
                         "--weir-tcp", f"127.0.0.1:{self.weir_tcp}", *options, **named)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def send(self, *packets):
        """In pieces that the socket's buffer holds, each awaited: what is counted is the protocol's."""
        for at in range(0, len(packets), 200):
            piece = packets[at:at + 200]
            before = self.received()
            for packet in piece:
                self.socket.sendto(packet, ("127.0.0.1", self.weir_udp))
            wait_for(lambda: self.received() >= before + len(piece), "packets are received")

    def received(self):
        return self.ledger()[0].get(("packets", "received"), 0)

    def counter(self, name):
        return sum(v for k, v in self.metrics().items() if k.startswith(f"weir_{name}_total"))

    def stored(self, samples):
        try:
            wait_for(lambda: self.ledger()[0].get(("samples", "stored"), 0) == samples,
                     f"{samples} samples are stored")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.ledger()[0]}") from None
        assert set(self.ledger()[1].values()) == {0}, self.ledger()


def now_ms():
    return int(time.time()) * 1000


def read(weir, sender, start_ms, end_ms):
    found = weir.raw(sender.name, start_ms / 1000, end_ms / 1000)
    return {(int(dict(k)["i"]), round(t * 1000)): v for k, points in found.items()
            for t, v in points}


def test_samples_are_stored_bit_for_bit_right_behind_their_definition():
    with Wire() as weir:
        sender, start = wire.Sender(11), now_ms() - 5000
        values = [0.1, -0.0, 5.0, 2.0**53, 2.0**53 + 2, -1e300, 5e-324, 123456.0, -7.0, 1 / 3]
        weir.send(sender.define(), sender.values(start, values))
        weir.stored(10)
        assert read(weir, sender, start, start + 1) == {(i, start): v for i, v in enumerate(values)}
        offsets = wire.group(1, sender.digest, 2, [1.5, 2.5], 100, [-50, 70])
        weir.send(sender.number([offsets, wire.group(1, sender.digest, 9, [9.0], 200)], start))
        weir.stored(13)
        found = read(weir, sender, start + 1, start + 1000)
        assert found == {(2, start + 50): 1.5, (3, start + 170): 2.5, (9, start + 200): 9.0}, found
        weir.send(sender.close())
        assert weir.counter("sequence_gaps") == 0


def test_what_is_not_defined_is_refused_by_name_and_never_given_to_another():
    with Wire() as weir:
        sender, start = wire.Sender(12), now_ms() - 5000
        weir.send(sender.values(start, [1.0] * 10))              # no template yet
        weir.send(sender.define(0, 4))
        weir.send(sender.values(start, [2.0] * 4))               # what is defined
        weir.send(sender.values(start, [3.0] * 5))               # one too many
        weir.send(sender.values(start, [4.0] * 4, first=7))      # past the end
        older = sender.define(4)
        weir.send(sender.number([wire.group(1, 8, 0, [5.0])], start))  # another content
        weir.stored(4)
        assert weir.reason("samples", "rejected", "no_template") == 10 + 5 + 4 + 1
        assert weir.reason("records", "rejected", "no_template") == 4
        assert read(weir, sender, start, start + 1) == {(i, start): 2.0 for i in range(4)}
        sender.digest = 9
        weir.send(sender.define())
        weir.send(older)                                         # a straggler changes nothing
        weir.send(sender.values(start + 1, [6.0] * 10))
        weir.stored(14)


def test_bad_packets_old_epochs_and_limits_are_refused_by_name():
    with Wire("--channels-max", "2") as weir:
        start = now_ms() - 5000
        sender = wire.Sender(13, epoch=5)
        good = sender.define()
        broken = bytearray(good)
        broken[100] ^= 1
        weir.send(bytes(broken), good[:50], good + b"x",
                  wire.packet(13, 5, 1, [wire.heartbeat(1), wire.group(1, 7, 0, [1.0])], flags=1),
                  sender.number([wire.definition(1, 7, 1, 0, [("__name__", "x")], [[]])]))
        assert weir.reason("records", "rejected", "bad_packet") == 5
        sender.sequence = 0
        weir.send(good, sender.values(start, [1.0] * 10))
        old = wire.Sender(13, epoch=4)
        weir.send(old.define(), old.values(start, [2.0] * 10))
        assert weir.reason("records", "rejected", "old_epoch") == 2
        assert weir.reason("samples", "rejected", "old_epoch") == 10
        newer = wire.Sender(13, epoch=6)
        weir.send(newer.values(start, [3.0] * 10))
        assert weir.reason("samples", "rejected", "no_template") == 10, "templates end with an epoch"
        weir.send(wire.Sender(14).define(), wire.Sender(15).define())
        assert weir.reason("records", "rejected", "senders_full") == 1
        weir.send(newer.define(), newer.values(start + 1, [3.0] * 10))
        weir.stored(20)
        past = wire.Sender(14, epoch=2)
        weir.send(past.define(), past.values(1000, [1.0] * 10))
        assert weir.reason("samples", "rejected", "time_past") == 10


def weir_send(*options, text=None, code=0):
    """What `weir send` says on standard output."""
    done = subprocess.run([os.path.join(BIN, "weir"), "send", *options], input=text,
                          capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout, done.stderr


def test_gaps_duplicates_and_reorderings_are_exactly_those_injected():
    seed = random.randrange(1 << 30)
    print(f"# seed {seed}")
    with Wire() as weir:
        truth, samples = [0, 0, 0], 0
        for percent in ("0.001", "0.1", "1", "10", "50"):
            for chances in ((percent,) * 3, (percent, "0", "0"), ("0", percent, "0"),
                            ("0", "0", percent)):
                seed += 1
                out, _ = weir_send("--proto", "weir", "--udp", f"127.0.0.1:{weir.weir_udp}",
                                   "--generate", "40000", "--series", "20", "--datagram", "256",
                                   "--rate", "400000", "--chaos", f"{seed},{','.join(chances)}")
                told, = json.loads(out)["channels"]
                assert told["samples"] == 40000 and told["packets"] >= 2000, told
                injected = [told[k] for k in ("lost", "duplicated", "reordered")]
                if percent in ("10", "50"):
                    assert all((n > 0) == (c != "0") for n, c in zip(injected, chances)), told
                truth = [a + b for a, b in zip(truth, injected)]
                samples += 40000 - told["samples_lost"]
                weir.stored(samples)

                def found():
                    return [weir.counter(f"sequence_{k}")
                            for k in ("gaps", "duplicates", "reorderings")]
                # the bye, which shows gaps at the end, may come behind the last sample
                try:
                    wait_for(lambda: found() == truth, f"{truth} are counted")
                except AssertionError as error:
                    raise AssertionError(f"{error}; {chances}: {found()}") from None
        assert weir.reason("packets", "rejected", "nothing_accepted") == truth[1]
        assert weir.reason("records", "rejected", "number_passed") == 0
        print(f"# lost, doubled, overtaken: {truth}")


def test_the_senders_that_lose_packets_are_listed_worst_first():
    def senders():
        return subprocess.run([os.path.join(BIN, "weir"), "senders", "--http",
                               f"127.0.0.1:{weir.http}"], capture_output=True, text=True)

    with Wire() as weir:
        wait_for(lambda: senders().stdout.startswith("0 channels known"),
                 "nobody yet")
        truth = {}
        for sender, chaos in ((71, "3,2,0,0"), (72, "4,30,5,5"), (73, "5,0,0,0"), (74, "6,0,9,0")):
            out, _ = weir_send("--proto", "weir", "--udp", f"127.0.0.1:{weir.weir_udp}",
                               "--sender", str(sender), "--generate", "20000", "--series", "20",
                               "--datagram", "256", "--rate", "200000", "--chaos", chaos)
            told, = json.loads(out)["channels"]
            truth[sender] = (told["lost"], told["duplicated"], told["reordered"], told["packets"])

        def listed():
            status, body = weir.get("/api/v1/senders")
            assert status == 200, body
            answer = json.loads(body)
            return answer["channels"], {int(r["sender"]): (r["gaps"], r["duplicates"],
                                                           r["reorderings"], int(r["highest"]))
                                        for r in answer["worst"]}, answer["worst"]

        worst = {s: t for s, t in truth.items() if any(t[:3])}
        wait_for(lambda: listed()[:2] == (4, worst), f"{worst} are listed")
        assert [int(r["sender"]) for r in listed()[2]] == [72, 71, 74]
        assert all(abs(r["last_seen"] - time.time()) < 600 for r in listed()[2]), listed()
        done = senders()
        lines = done.stdout.splitlines()
        assert done.returncode == 0 and \
            lines[-1] == "4 channels known, 4 of them listed, 4 shown", done
        assert [line.split()[0] for line in lines[1:-1]] == ["72", "71", "74", "73"], done.stdout
        assert [int(n) for n in lines[1].split()[3:7]] == [truth[72][3], *truth[72][:3]], lines


def test_weir_send_says_that_the_log_is_full():
    def send(*words):
        return subprocess.Popen([os.path.join(BIN, "weir"), "send", *words], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    with Wire("--log-size-max", "32MiB", "--log-segment-size", "16MiB") as weir:
        text = []
        for _ in range(60):
            filling = send("--tcp", f"127.0.0.1:{weir.influx_tcp}", "--generate", "300000")
            text = filling.communicate()
            if filling.returncode != 0 and text[0].startswith("ok 0 "):
                break
            if filling.returncode != 0 and text[0] == "error disk_full\n":
                assert "raise log.size_max" in text[1], text
        assert "weir rejected, on that machine" in text[1], f"the log never filled: {text}"
        waiting = send("--proto", "weir", "--tcp", f"127.0.0.1:{weir.weir_tcp}",
                       "--generate", "10")
        try:
            assert f"the log of 127.0.0.1:{weir.weir_tcp} is full; waiting" \
                in waiting.stderr.readline()
            assert waiting.poll() is None, "it waits for room"
        finally:
            waiting.kill()
            waiting.communicate()


def test_chaos_tells_the_truth_of_text_datagrams_too():
    with Wire() as weir:
        out, _ = weir_send("--udp", f"127.0.0.1:{weir.influx_udp}", "--generate", "20000",
                           "--rate", "100000", "--chaos", "5,10,10,10")
        told = json.loads(out)
        assert told["lines"] == 20000 and min(told["lost"], told["reordered"]) > 0, told
        came = 20000 - told["lines_lost"] + told["lines_duplicated"]
        weir.stored(came)
        assert weir.received() == told["packets"] - told["lost"] + told["duplicated"], told


def test_lines_that_weir_send_reads_are_stored_bit_for_bit():
    values = ["0.1", "-0", "5i", "9007199254740993", "-1e300", "5e-324", "123456.75", "1e22"]
    with Wire() as weir:
        stored = 0
        for at, (way, port) in enumerate((("--tcp", weir.weir_tcp), ("--udp", weir.weir_udp))):
            start = now_ms() - 10000 + at * 1000
            lines = [f"send{at},host=h{n % 3},i={n} a={value},b={n} {start + n % 2}000000"
                     for n, value in enumerate(values)] + [f"send{at},host=é c=1 {start}000000"]
            random.shuffle(lines)
            out, _ = weir_send("--proto", "weir", way, f"127.0.0.1:{port}",
                               text="\n".join(lines) + "\n")
            assert out.startswith(f"ok {len(lines)} 0 " if at == 0 else f"sent {len(lines)} "), out
            stored += 2 * len(values) + 1
            weir.stored(stored)
            found = weir.raw(f"send{at}_a", start / 1000, start / 1000 + 1)
            assert len(found) == len(values), found
            for labels, points in found.items():
                n = int(dict(labels)["i"])
                assert dict(labels)["host"] == f"h{n % 3}", labels
                (when, value), = points
                assert round(when * 1000) == start + n % 2, (when, start)
                assert bits(value) == bits(float(values[n].rstrip("i"))), (value, values[n])
            assert len(weir.raw(f"send{at}_b", start / 1000, start / 1000 + 1)) == len(values)
            assert len(weir.raw(f"send{at}_c", start / 1000, start / 1000 + 1)) == 1
        when = now_ms() // 1000
        out, _ = weir_send("--proto", "weir", "--lines", "graphite", "--tcp",
                           f"127.0.0.1:{weir.weir_tcp}", text=f"send.g;dc=x 0.25 {when}\n")
        assert out.startswith("ok 1 0 "), out
        assert [list(p) for p in weir.raw("send.g", when, when + 1, dc="x").values()] == \
            [[(when, 0.25)]]


def test_runs_with_one_sender_id_that_follow_each_other_lose_nothing():
    with Wire() as weir:
        start = now_ms()
        for n in range(4):
            out, _ = weir_send("--proto", "weir", "--tcp", f"127.0.0.1:{weir.weir_tcp}", "--sender",
                               "4711", text=f"again v={n} {start + n}\n")
            assert out.startswith("ok 1 0 "), out
        weir.stored(4)


def test_weir_send_opens_channels_for_many_series_and_tells_what_it_refused():
    with Wire() as weir:
        count = 300000
        out, _ = weir_send("--proto", "weir", "--tcp", f"127.0.0.1:{weir.weir_tcp}",
                           "--generate", str(2 * count), "--series", str(count))
        assert out.startswith(f"ok {2 * count} 0 "), out
        weir.stored(2 * count)
        assert weir.counter("series_defined") == count
        start = now_ms()
        out, told = weir_send("--proto", "weir", "--tcp", f"127.0.0.1:{weir.weir_tcp}", code=1,
                              text=f"no line\ngood,a=b x=1,s=\"t\" {start}000000\nold x=1 1\n")
        assert out.split()[:3] == ["ok", "2", "1"], out
        assert "bad_line: no line" in told and "unsupported_type" in told, told
        assert weir.reason("samples", "rejected", "time_past") == 1
        weir.stored(2 * count + 1)
        # no field of a line whose tags are none becomes a series
        _, told = weir_send("--proto", "weir", "--tcp", f"127.0.0.1:{weir.weir_tcp}", code=1,
                            text=f"good,a=b x=2 {start + 1}000000\n"
                                 f"bad,x=1,x=2 f=5,g=7 {start}000000\n")
        assert told.count("bad_labels: bad") == 2, told
        weir.stored(2 * count + 2)
        assert weir.counter("series_defined") == count + 2  # good_x, old_x


def test_weir_send_says_that_a_port_is_for_another_protocol():
    with Wire() as weir:
        _, told = weir_send("--proto", "weir", "--tcp", f"127.0.0.1:{weir.graphite_tcp}",
                            "--generate", "100", code=1)
        assert f"does 127.0.0.1:{weir.graphite_tcp} speak the weir protocol?" in told, told
        _, told = weir_send("--tcp", f"127.0.0.1:{weir.weir_tcp}", "--generate", "100", code=1)
        assert f"127.0.0.1:{weir.weir_tcp} speaks the weir protocol: --proto weir" in told, told


def answer_for_weir(connection, channels, late_s):
    """Acknowledges all that comes: the first channel at once, others late_s after their start."""
    read, first, last = b"", None, None
    while True:
        if select.select([connection], [], [], 0.05)[0]:
            piece = connection.recv(1 << 16)
            if not piece:
                return
            read += piece
        while len(read) >= 64 and len(read) >= struct.unpack_from("<I", read, 8)[0]:
            flags, (length, epoch) = read[5], struct.unpack_from("<II", read, 8)
            sequence, channel = struct.unpack_from("<Q8xH", read, 24)
            read = read[length:]
            first = first or time.monotonic()
            channels.add(channel)
            if not flags & wire.UNNUMBERED:
                last = wire.ACK.pack(wire.ACK_MAGIC, 0, channel, epoch, 0, sequence, 0)
        if last and (channel == 0 or time.monotonic() > first + late_s):
            connection.sendall(last)
            last = None


def test_weir_send_trusts_a_weir_that_answered_on_another_channel():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        channels = set()

        def answer():
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=answer_for_weir, args=(connection, channels, 7),
                                 daemon=True).start()
        threading.Thread(target=answer, daemon=True).start()
        out, _ = weir_send("--proto", "weir", "--tcp", f"127.0.0.1:{listener.getsockname()[1]}",
                           "--generate", "300000", "--series", "300000")
        assert out.startswith("ok 300000 0 "), out
        assert len(channels) > 1, channels


def test_a_restart_forgets_neither_templates_nor_numbers():
    weir = Wire()
    with weir:
        start = now_ms() - 5000
        plain, holes = wire.Sender(21), wire.Sender(22)
        sent = [plain.define(), plain.values(start, [1.0] * 10)]
        weir.send(*sent)
        defined, late = holes.define(), holes.values(start, [2.0] * 10)
        newest = holes.values(start + 1, [3.0] * 10)
        weir.send(defined, newest)
        weir.stored(20)
        weir.replace("dataplane")
        weir.send(*sent, newest)
        assert weir.reason("samples", "rejected", "duplicate") == 20, "a second copy is known as such"
        weir.send(late, plain.values(start + 2, [4.0] * 10), plain.close(), holes.close())
        weir.stored(20)
        assert weir.counter("sequence_gaps") == 0
        assert weir.counter("sequence_reorderings") == 1
        assert weir.counter("series_defined") == 0
        assert len(read(weir, holes, start, start + 9)) == 20
        assert len(read(weir, plain, start, start + 9)) == 20


class Stream:
    """A sender over TCP: keeps what is not acknowledged, sends it again on a new connection."""

    def __init__(self, weir, sender):
        self.weir, self.sender, self.acked, self.kept, self.rejected = weir, sender, 0, {}, 0
        self.connection, self.read, self.last, self.copies = None, b"", [], 0

    def connect(self):
        self.read, self.copies = b"", len(self.last)
        self.connection = socket.create_connection(("127.0.0.1", self.weir.weir_tcp), PATIENCE)
        self.connection.sendall(b"".join([self.sender.define(), *self.last, *self.kept.values()]))

    def push(self, packet):
        self.kept[self.sender.sequence] = packet
        if self.connection is not None:
            self.connection.sendall(packet)

    def poll(self):
        if not select.select([self.connection], [], [], 0.05)[0]:
            return True
        piece = self.connection.recv(4096)
        self.read += piece
        while len(self.read) >= wire.ACK.size:
            magic, status, channel, epoch, _, acked, self.rejected = wire.ACK.unpack_from(self.read)
            assert (magic, channel, epoch) == (wire.ACK_MAGIC, 0, self.sender.epoch) or acked == 0
            assert status == 0, status
            self.read = self.read[wire.ACK.size:]
            assert acked >= self.acked and acked <= self.sender.sequence
            self.acked = acked
            self.last = [v for k, v in self.kept.items() if k <= acked][-5:] or self.last
            self.kept = {k: v for k, v in self.kept.items() if k > acked}
        return piece != b""


def test_tcp_acknowledges_what_is_durable_in_any_pieces():
    with Wire() as weir:
        sender, start = wire.Sender(31), now_ms() - 100000
        stream = Stream(weir, sender)
        stream.connect()
        source = random.Random(3)
        data = sender.define() + b"".join(sender.values(start + i, [float(i)] * 10)
                                          for i in range(50))
        while data:
            size = source.choice((1, 7, 63, 64, 65, 500, 3000))
            stream.connection.sendall(data[:size])
            data = data[size:]
        wait_for(lambda: stream.poll() and stream.acked == 50, "all is acknowledged")
        weir.stored(500)
        stream.connection.shutdown(socket.SHUT_WR)
        wait_for(lambda: not stream.poll(), "the connection ends after a half-close")
        assert stream.acked == 50
        stream.connect()
        stream.connection.sendall(b"not a packet" * 10)
        answer = stream.connection.recv(64)
        assert wire.ACK.unpack(answer)[:2] == (wire.ACK_MAGIC, 3), answer
        assert weir.reason("records", "rejected", "bad_packet") == 1


def test_second_copies_are_not_told_as_refused():
    with Wire() as weir:
        stream, start = Stream(weir, wire.Sender(33)), now_ms()

        def acked():
            stream.poll()
            return stream.acked == stream.sender.sequence
        stream.connect()
        for i in range(5):
            stream.push(stream.sender.values(start + i, [float(i)] * 10))
        wait_for(acked, "all is acknowledged")
        stream.connection.close()
        stream.connect()
        stream.push(stream.sender.values(1, [1.0] * 10))
        wait_for(acked, "all is acknowledged")
        assert weir.reason("records", "rejected", "duplicate") == 5
        assert weir.reason("records", "rejected", "time_past") == 1
        assert stream.rejected == 1, stream.rejected


def test_kill_nine_in_a_flood_loses_nothing_acknowledged_and_stores_nothing_twice():
    with Wire() as weir:
        sender, start = wire.Sender(32), now_ms() - 1000000
        stream = Stream(weir, sender)
        source = random.Random()
        times, kills, doubled, at_kill = 0, 6, 0, []
        end = time.monotonic() + 2 * PATIENCE
        while kills > 0 or stream.kept:
            assert time.monotonic() < end, (kills, stream.acked, sender.sequence)
            try:
                if stream.connection is None:
                    stream.connect()
                for _ in range(40 if kills > 0 else 0):
                    if sender.sequence % 50 == 0:
                        stream.connection.sendall(sender.define())
                    times += 1
                    stream.push(sender.values(start + times, [float(times)] * 10))
                if not stream.poll():
                    raise ConnectionError("closed by Weir")
            except OSError:
                stream.connection = None
                time.sleep(0.02)
                continue
            if kills > 0 and stream.acked > 0 and source.random() < 0.1:
                doubled += weir.counter("sequence_duplicates")
                at_kill.append(stream.acked)
                weir.replace("dataplane")
                kills -= 1
        found = read(weir, sender, start, start + times + 1)
        sent = {(i, start + t): float(t) for t in range(1, times + 1) for i in range(10)}
        missing = sorted(t - start for i, t in sent.keys() - found.keys() if i == 0)
        refused = {k: v for k, v in weir.metrics().items() if "rejected" in k and v}
        assert found == sent, (missing[:1], missing[-1:], refused, at_kill, weir.ledger()[0])
        # once more: where all was acknowledged at the last kill, nobody has connected since
        stream.connect()
        assert stream.copies > 0, "each connection but the first begins with copies"
        wait_for(lambda: weir.counter("sequence_duplicates") >= stream.copies, "they are refused")
        doubled += weir.counter("sequence_duplicates")
        raw = weir.query(sender.name, agg="raw", from_=start / 1000, to=start / 1000 + times)
        assert sum(len(s["points"]) for s in raw["series"]) == 10 * times, "none twice"
        print(f"# {times * 10} samples, killed at {at_kill}, {doubled:.0f} second copies refused")
        assert set(weir.ledger()[1].values()) == {0}


def test_the_example_agent_says_what_is_wrong():
    def example(*words):
        return subprocess.run([os.path.join(BIN, "client/weir-example-agent"), *words],
                              capture_output=True, text=True, timeout=PATIENCE)

    port = str(free_port())
    for words in ((), ("127.0.0.1", port, "sctp", "1"), ("127.0.0.1", "0", "tcp", "1"),
                  ("127.0.0.1", port, "tcp", "none")):
        done = example(*words)
        assert done.returncode == 2 and done.stderr.startswith("usage: "), done
    done = example("127.0.0.1", port, "tcp", "1")
    assert done.returncode == 1 and f"connect to 127.0.0.1 port {port}: " in done.stderr, done


def test_what_matches_nothing_is_told():
    def query(*words):
        return subprocess.run([os.path.join(BIN, "weir"), "query", "--http",
                               f"127.0.0.1:{weir.http}", *words], capture_output=True, text=True)

    with Wire() as weir:
        for words in (("--values", "nosuch"), ("--series", "nosuch"), ("--labels",)):
            done = query(*words)
            assert (done.returncode, done.stdout) == (1, ""), done
            assert done.stderr in ("weir query: nothing matches\n",
                                   "weir query: no series that was chosen has a label nosuch\n")
        done = query("nosuch", "--step", "wide")
        assert done.returncode == 2 and done.stderr.startswith("weir query: step=wide is not a")
        assert done.stderr.count("\n") == 1, done


def test_the_example_agent_is_stored_over_tcp_and_udp():
    with Wire() as weir:
        for transport, port in (("tcp", weir.weir_tcp), ("udp", weir.weir_udp)):
            before = weir.ledger()[0].get(("samples", "stored"), 0)
            start = int(time.time() * 1000) / 1000
            agent = subprocess.run([os.path.join(BIN, "client/weir-example-agent"), "127.0.0.1",
                                    str(port), transport, "2"], timeout=PATIENCE)
            assert agent.returncode == 0
            weir.stored(before + 4)
            for name in ("example_uptime_seconds", "example_idle_seconds"):
                found = weir.raw(name, start, time.time() + 1)
                assert [len(points) for points in found.values()] == [2], found
                assert dict(list(found)[0])["job"] == "example"
        assert weir.counter("sequence_gaps") == 0


def test_the_client_sends_again_what_a_killed_weir_had_not_acknowledged():
    with Wire() as weir:
        start = time.time() - 1
        agent = subprocess.Popen([os.path.join(BIN, "client/weir-example-agent"), "127.0.0.1",
                                  str(weir.weir_tcp), "tcp", "4"])
        for _ in range(3):
            time.sleep(0.9)
            weir.replace("dataplane")
        assert agent.wait(PATIENCE) == 0, "all is acknowledged"
        found = weir.raw("example_uptime_seconds", start, time.time() + 1)
        assert [len(points) for points in found.values()] == [4], found


def test_weir_send_goes_on_behind_a_killed_weir():
    with Wire() as weir:
        lines = subprocess.Popen([os.path.join(BIN, "weir"), "send", "--proto", "weir", "--tcp",
                                  f"127.0.0.1:{weir.weir_tcp}", "--generate", "300000",
                                  "--series", "1000", "--rate", "100000"],
                                 stdout=subprocess.PIPE, text=True)
        for _ in range(2):
            time.sleep(0.8)
            weir.replace("dataplane")
        said, _ = lines.communicate(timeout=PATIENCE)
        assert lines.returncode == 0 and said.startswith("ok 300000 0 "), said


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
