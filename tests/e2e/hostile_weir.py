"""Hostile senders of the weir protocol: what one of them sends costs nobody else his samples, his
templates, or the disk.

Its tests run with those of test_hostile.py. Strangers send from 127.0.0.2, honest senders from
127.0.0.1; no source is trusted.
"""
import json
import socket
import threading
import time

import wire
from instance import Instance, free_port, parse_ok, wait_for

STRANGER = "127.0.0.2"


class Target(Instance):
    def __init__(self, *options, **named):
        self.weir_udp = free_port(socket.SOCK_DGRAM)
        self.weir_tcp = free_port()
        self.graphite_udp = free_port(socket.SOCK_DGRAM)
        super().__init__("--weir-udp", f"127.0.0.1:{self.weir_udp}",
                         "--weir-tcp", f"127.0.0.1:{self.weir_tcp}",
                         "--graphite-udp", f"127.0.0.1:{self.graphite_udp}",
                         "--trusted-sources", "none", *options, **named)
        self.stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.stranger.bind((STRANGER, 0))

    def throw(self, packet, port=None):
        self.stranger.sendto(packet, ("127.0.0.1", port or self.weir_udp))

    def deliver(self, *packets):
        """Sends packets over TCP from an honest source; the last acknowledgement's sequence."""
        with socket.create_connection(("127.0.0.1", self.weir_tcp), 60,
                                      ("127.0.0.1", 0)) as sender:
            sender.sendall(b"".join(packets))
            sender.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := sender.recv(4096):
                answer += piece
        assert len(answer) % wire.ACK.size == 0 and answer, answer
        _, status, *_, sequence, rejected = wire.ACK.unpack(answer[-wire.ACK.size:])
        assert status == 0, answer
        return sequence, rejected

    def received(self):
        return self.ledger()[0].get(("packets", "received"), 0)


def now_ms():
    return int(time.time() * 1000)


def hello(sender, number):
    """A definition and a group of a template of its own."""
    define = wire.definition(number % 64, number, 1, 0,
                             [("__name__", f"hostile_{sender}"), ("q", str(number))], [[]])
    return (wire.packet(sender, 1, number, [define], flags=wire.UNNUMBERED),
            wire.packet(sender, 1, number + 1, [wire.group(number % 64, number, 0, [1.0])],
                        base_ms=now_ms()))


def test_definitions_of_a_stranger_hold_up_no_one():
    """Pairs of definition and group, as fast as they can be sent, beside a sender over TCP."""
    with Target() as weir:
        assert parse_ok(weir.send_tcp(b"known v=1\n"))[:2] == (1, 0)
        ended, sent = threading.Event(), []
        pairs = [hello(666, n) for n in range(4000)]

        def flood():
            for n, (define, group) in enumerate(pairs):
                weir.throw(define)
                weir.throw(group)
                if n % 16 == 0:
                    time.sleep(0.001)
            sent.append(True)
            ended.set()
        thread = threading.Thread(target=flood)
        thread.start()
        answered = 0
        while not ended.is_set():
            assert parse_ok(weir.send_tcp(b"known v=1\n"))[:2] == (1, 0)
            answered += 1
        thread.join()
        assert answered > 3, answered
        honest = wire.Sender(1, epoch=1, count=3)
        assert weir.deliver(honest.define(), honest.values(now_ms(), [1, 2, 3])) == (1, 0)
        sums, residual = weir.ledger()
        assert set(residual.values()) == {0}, residual
        values = weir.metrics()
        assert values["weir_template_waits_total"] > 0, values
        # of what came nothing was lost but by name
        wait_for(lambda: weir.ledger()[0].get(("packets", "in_flight"), 0) == 0, "all is decided")
        assert weir.reason("records", "rejected", "no_template") <= (
            weir.reason("records", "rejected", "template_backlog") +
            values.get("weir_socket_drops_total", 0))


def test_many_new_agents_at_once_are_all_taken():
    """Each says hello in two datagrams; each hundred of them has an address of its own."""
    with Target() as weir:
        agents = 1500
        for first in range(0, agents, 100):
            before = weir.received()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
                agent.bind((f"127.1.0.{first // 100 + 1}", 0))
                for number in range(first, first + 100):
                    for packet in hello(50000 + number, 0):
                        agent.sendto(packet, ("127.0.0.1", weir.weir_udp))
            wait_for(lambda: weir.received() >= before + 200, "the packets are received")
        wait_for(lambda: weir.ledger()[0].get(("samples", "stored"), 0) == agents,
                 "the first value of each agent is stored")


def test_templates_of_a_stranger_leave_room_for_those_of_others():
    """Few bytes that claim much; and when they are forgotten, all is free again."""
    with Target("--series-max", "20000") as weir:
        old = wire.Sender(4710, epoch=1000, count=3)
        assert weir.deliver(old.define(), old.values(now_ms(), [1, 2, 3])) == (1, 0)
        for i in range(700):
            weir.throw(wire.packet(666, 1, 0, [wire.definition(
                i % 64, 7, 16384, 0, [("__name__", "x")], [[("i", "0")]])], channel=i // 64,
                flags=wire.UNNUMBERED))
        wait_for(lambda: weir.received() >= 702, "all has come")
        assert weir.reason("records", "rejected", "templates_full") == 0
        # series that were really told: half of the memory, and no more
        wide = [[("i", str(i))] for i in range(2000)]
        for i in range(80):
            weir.throw(wire.packet(667 + i // 60, 1, 0, [wire.definition(
                i % 60, 7, 2000, 0, [("__name__", "y")], wide)], flags=wire.UNNUMBERED))
            wait_for(lambda: weir.received() >= 703 + i, "it has come")
        assert weir.reason("records", "rejected", "over_share") > 0
        assert "templates_full" in json.loads(weir.get("/healthz")[1])["degraded"]
        wait_for(lambda: f"event=over_share table=templates who={STRANGER}" in weir.log(), "event")
        for sender in (4711, 4712):
            honest = wire.Sender(sender, epoch=1000, count=200)
            assert weir.deliver(honest.define(),
                                honest.values(now_ms(), list(range(200)))) == (1, 0)
        weir.stop()
        weir.start()
        again = wire.Sender(4713, epoch=1000, count=200)
        assert weir.deliver(again.define(), again.values(now_ms(), list(range(200)))) == (1, 0)
        assert weir.deliver(old.values(now_ms(), [4, 5, 6])) == (2, 0)


def group(sender, sequence, count=1, offsets=None):
    return wire.packet(sender, 1, sequence, [wire.group(1, 7, 0, [1.0] * count, offsets=offsets)],
                       base_ms=now_ms())


def one_index(i):
    return wire.packet(42, 1, 0, [wire.definition(
        1 + i % 8, 7, 16384, (i * 7919) % 16384, [("__name__", "index")], [[("i", str(i))]])],
        flags=wire.UNNUMBERED)


def thrash(i):
    return wire.packet(43, 1, i, [wire.definition(1, 7 + i % 2, 16384, 0, [("__name__", "x")],
                                                  [[("i", "0")]])], flags=wire.UNNUMBERED)


def wide_definition(i):
    own = [[("i", f"{i}_{n}")] for n in range(3000)]
    return wire.packet(44, 1, 0, [wire.definition(i % 64, 7, 3000, 0, [
        ("__name__", "wide"), ("long", "x" * 7000)], own)], flags=wire.UNNUMBERED)


def wide_line(i):
    fields = ",".join(f"f{i}_{n}=1" for n in range(4000))
    return f"wide,long={'x' * 7000} {fields}\n".encode()[:65000].rsplit(b",", 1)[0] + b"\n"


def test_no_packet_has_much_more_written_to_the_log_than_it_has_bytes():
    """64 bytes for a byte received, beside 4 KiB for a frame: of each kind of packet those that
    have the most written."""
    base = now_ms()
    kinds = {
        "definition of one index": ("weir", one_index, 1500),
        "definition that replaces another": ("weir", thrash, 1500),
        "definition with long common labels": ("weir", wide_definition, 6),
        "group": ("weir", lambda i: group(50, 2 * i + 1), 1500),
        "group of a new channel": ("weir", lambda i: group(1000 + i, 3), 1500),
        "group with offsets": ("weir", lambda i: group(50, 5000 + 2 * i, 1, [1]), 1500),
        "heartbeat": ("weir", lambda i: wire.packet(
            60, 1, 7 * i, [wire.heartbeat(7 * i)], flags=wire.UNNUMBERED), 1500),
        "heartbeat of a new channel": ("weir", lambda i: wire.packet(
            5000 + i, 1, 9, [wire.heartbeat(9)], flags=wire.UNNUMBERED), 1500),
        "bye": ("weir", lambda i: wire.packet(
            50, 1, 9000, [wire.heartbeat(9000 + i, True)], flags=wire.UNNUMBERED), 1500),
        "influx line": ("influx", lambda i: b"a b=%d\n" % i, 1500),
        "influx line of a new series": ("influx", lambda i: b"a%d b=1\n" % i, 1500),
        "influx line of long tags and many fields": ("influx", wide_line, 6),
        "graphite line": ("graphite", lambda i: b"g 1 %d\n" % (base // 1000), 1500),
        "graphite line of a new series": (
            "graphite", lambda i: b"g%d;a=b 1 %d\n" % (i, base // 1000), 1500),
    }
    with Target() as weir:
        ports = {"weir": weir.weir_udp, "influx": weir.influx_udp, "graphite": weir.graphite_udp}
        weir.throw(wire.packet(50, 1, 0, [wire.definition(
            1, 7, 1, 0, [("__name__", "known")], [[("i", "0")]])], flags=wire.UNNUMBERED))
        wait_for(lambda: weir.received() == 1, "the definition")
        for kind, (proto, make, count) in kinds.items():
            # idle: nothing of before is under way
            wait_for(lambda: weir.ledger()[0].get(("records", "in_flight"), 0) == 0, "idle")
            before, at, size = weir.metrics(), weir.received(), 0
            for i in range(count):
                packet = make(i)
                size += len(packet)
                weir.throw(packet, ports[proto])
                if i % 64 == 63 or len(packet) > 10000:
                    wait_for(lambda: weir.received() >= at + i + 1 - weir.metrics()[
                        "weir_socket_drops_total"], kind)
            wait_for(lambda: weir.ledger()[0].get(("records", "in_flight"), 0) == 0, kind)
            # what is owed to the log goes with this at the latest
            assert parse_ok(weir.send_tcp(b"a b=1\n"))[:2] == (1, 0)
            after = weir.metrics()
            written, frames = (after[f"weir_{name}_written_total"] -
                               before[f"weir_{name}_written_total"] for name in ("bytes", "frames"))
            print(f"# {kind}: {size} bytes, {written:.0f} written in {frames:.0f} frames, "
                  f"{(written - 4096 * frames) / size:.1f} a byte")
            assert written <= 64 * size + 4096 * frames, kind
