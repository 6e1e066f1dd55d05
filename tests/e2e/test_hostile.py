"""Hostile senders: one stranger takes what it can get, and everybody else goes on.

Strangers send from 127.0.0.2 and further addresses, honest senders from 127.0.0.1, and no source is
trusted, so that the shares of the tables act on all of them (model/shares.h).
"""
import json
import os
import socket
import subprocess
import sys
import time

import tap
import wire
from hostile_weir import (test_definitions_of_a_stranger_hold_up_no_one,
                          test_many_new_agents_at_once_are_all_taken,
                          test_no_packet_has_much_more_written_to_the_log_than_it_has_bytes,
                          test_templates_of_a_stranger_leave_room_for_those_of_others)
from instance import BIN, PATIENCE, Instance, free_port, parse_ok, wait_for

STRANGER, ANOTHER = "127.0.0.2", "127.0.0.3"


class Target(Instance):
    """Trusts nobody, and is small enough to be filled quickly."""

    def __init__(self, *options, **named):
        self.weir_udp = free_port(socket.SOCK_DGRAM)
        self.weir_tcp = free_port()
        super().__init__("--weir-udp", f"127.0.0.1:{self.weir_udp}",
                         "--weir-tcp", f"127.0.0.1:{self.weir_tcp}",
                         "--trusted-sources", "none", *options, **named)

    def say(self, payload, source, port=None):
        """Sends over TCP from a source address and returns (accepted, rejected)."""
        with socket.create_connection(("127.0.0.1", port or self.influx_tcp), 60,
                                      (source, 0)) as sender:
            sender.sendall(payload)
            sender.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := sender.recv(4096):
                answer += piece
        return parse_ok(answer)[:2]

    def datagrams(self, packets, source):
        """Sends weir packets over UDP, and waits until all are received."""
        received = lambda: self.ledger()[0].get(("packets", "received"), 0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((source, 0))
            for at in range(0, len(packets), 200):
                piece = packets[at:at + 200]
                before = received()
                for packet in piece:
                    sender.sendto(packet, ("127.0.0.1", self.weir_udp))
                wait_for(lambda: received() >= before + len(piece), "packets are received")

    def acks(self, payload, source="127.0.0.1"):
        """Sends weir packets over TCP and returns its acknowledgements."""
        with socket.create_connection(("127.0.0.1", self.weir_tcp), 60, (source, 0)) as sender:
            sender.sendall(payload)
            sender.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := sender.recv(4096):
                answer += piece
        assert len(answer) % 32 == 0, answer
        return [wire.ACK.unpack(answer[at:at + 32]) for at in range(0, len(answer), 32)]

    def counter(self, name):
        return sum(v for k, v in self.metrics().items() if k.startswith(f"weir_{name}_total"))

    def degraded(self):
        return self.json("/healthz")["degraded"]

    def json(self, path):
        status, body = self.get(path)
        assert status == 200, (status, body)
        return json.loads(body)


def lines(name, count):
    return b"".join(b"%s,i=%d v=1\n" % (name.encode(), i) for i in range(count))


def test_stranger_with_new_series_leaves_room_for_those_of_others():
    with Target("--series-max", "8000") as weir:
        assert weir.say(lines("mine", 100), "127.0.0.1") == (100, 0)
        taken = sum(weir.say(lines(f"junk{i}", 1000), STRANGER)[0] for i in range(9))
        assert taken <= 4001, taken                    # half of the table, and no more
        assert weir.say(lines("more", 500), "127.0.0.1") == (500, 0)
        assert weir.say(lines("mine", 100), "127.0.0.1") == (100, 0)
        assert weir.say(lines("other", 1500), ANOTHER) == (1000, 500)  # an eighth
        # what a source has defined goes on, whoever sends it
        assert weir.say(lines("junk0", 1000), STRANGER) == (1000, 0)
        assert weir.say(lines("other", 1000), STRANGER) == (1000, 0)
        assert weir.reason("samples", "rejected", "over_share") == 9000 - taken + 500
        assert "series_full" in weir.degraded(), weir.degraded()
        wait_for(lambda: f"event=over_share table=series who={STRANGER}" in weir.log(), "event")


def test_trusted_source_may_fill_the_table():
    with Target("--series-max", "1000", "--trusted-sources", f"{STRANGER}/32") as weir:
        assert weir.say(lines("a", 1000), STRANGER) == (1000, 0)
        assert weir.say(lines("b", 1), STRANGER) == (0, 1)
        assert weir.reason("samples", "rejected", "table_full") == 1
        assert weir.reason("samples", "rejected", "over_share") == 0


def test_stranger_with_idle_connections_keeps_nobody_out():
    with Target("--tcp-connections-max", "64") as weir:
        idle = []
        for _ in range(90):
            for port in (weir.influx_tcp, weir.graphite_tcp):
                idle.append(socket.create_connection(("127.0.0.1", port), 60, (STRANGER, 0)))
        assert weir.say(lines("mine", 10), "127.0.0.1") == (10, 0)
        assert weir.say(b"mine 1 -1\n", "127.0.0.1", weir.graphite_tcp) == (1, 0)
        values = weir.metrics()
        refused = sum(v for k, v in values.items() if k.startswith("weir_connections_refused_total"))
        assert refused >= 180 - 64, refused
        assert "connections_full" in weir.degraded(), weir.degraded()
        for sender in idle:
            sender.close()
        text = f"event=over_share table=connections listener=127.0.0.1:{weir.influx_tcp} who={STRANGER}"
        assert text in weir.log(), weir.log()[-2000:]


def test_idle_connections_of_a_trusted_source_make_room():
    with Target("--tcp-connections-max", "32", "--trusted-sources", f"{STRANGER}/32") as weir:
        idle = [socket.create_connection(("127.0.0.1", weir.influx_tcp), 60, (STRANGER, 0))
                for _ in range(100)]
        assert weir.say(lines("mine", 10), "127.0.0.1") == (10, 0)
        values = weir.metrics()
        closed = sum(v for k, v in values.items()
                     if k.startswith("weir_connections_idle_closed_total"))
        assert closed > 0, values
        for sender in idle:
            sender.close()


def now_ms():
    return int(time.time()) * 1000


def delivers(weir, sender, source="127.0.0.1"):
    """Whether a sample of this sender is taken and acknowledged over TCP."""
    last = weir.acks(sender.define() + sender.values(now_ms(), [1.0] * sender.count), source)[-1]
    return last[1] == 0 and last[3] == sender.epoch and last[5] == sender.sequence


def heartbeats(sender, count):
    return [wire.packet(sender, 1, 1, [wire.heartbeat(1)], channel=channel, flags=1)
            for channel in range(count)]


def test_heartbeats_of_a_stranger_keep_no_sender_out_and_leave_no_trace():
    with Target("--channels-max", "400") as weir:
        old = wire.Sender(1, count=3)
        assert delivers(weir, old)
        weir.datagrams(heartbeats(666, 400), STRANGER)  # one id: half of the table
        weir.datagrams([p for i in range(300) for p in heartbeats(1000 + i, 1)], STRANGER)
        assert weir.reason("records", "rejected", "over_share") > 0
        text = f"event=over_share table=channels who={STRANGER}"
        wait_for(lambda: text in weir.log(), "the event")
        assert "senders_full" in weir.degraded(), weir.degraded()
        for i in range(20):
            assert delivers(weir, wire.Sender(100 + i, count=3))
        assert delivers(weir, old)
        weir.stop()
        weir.start()
        assert weir.json("/healthz")["ingest"] == "open"
        assert delivers(weir, old)
        wait_for(lambda: weir.json("/api/v1/senders")["channels"] == 21, "only who delivered is known")


def test_channels_without_samples_of_a_trusted_source_make_room():
    with Target("--channels-max", "100", "--trusted-sources", "127.0.0.0/8") as weir:
        old = wire.Sender(1, count=3)
        assert delivers(weir, old)
        weir.datagrams(heartbeats(666, 400), STRANGER)
        assert weir.reason("records", "rejected", "senders_full") > 0
        # each try begins at number 1, as a sender that repeats what was refused
        wait_for(lambda: delivers(weir, wire.Sender(2, count=3)), "a new sender gets in")
        assert delivers(weir, old)
        wait_for(lambda: "event=senders_full table=channels who=127.0.0.2" in weir.log(), "event")


def test_epoch_from_a_far_clock_is_refused_and_keeps_no_later_one_out():
    with Target() as weir:
        now = int(time.time())
        sender = wire.Sender(5, epoch=now, count=2)
        far = wire.Sender(5, epoch=2147483647, count=2)
        assert delivers(weir, sender)
        weir.datagrams([far.close(False), far.define()], STRANGER)
        assert weir.reason("records", "rejected", "epoch_ahead") == 2
        ack = weir.acks(far.define() + far.values(now_ms(), [1.0, 2.0]), STRANGER)[0]
        assert (ack[1], ack[3]) == (5, 2147483647), ack
        assert delivers(weir, sender)
        weir.stop()
        weir.start()
        assert delivers(weir, sender)
        assert delivers(weir, wire.Sender(5, epoch=now + 10, count=2))
        ack = weir.acks(sender.values(now_ms(), [1.0, 2.0]))[0]
        assert (ack[1], ack[3]) == (4, now + 10), ack  # an older epoch, and the one it was met with


def test_weir_send_says_that_its_epoch_is_too_old():
    with Target() as weir:
        assert delivers(weir, wire.Sender(77, epoch=int(time.time()) + 3000, count=1))
        done = subprocess.run([os.path.join(BIN, "weir"), "send", "--proto", "weir", "--sender", "77",
                               "--tcp", f"127.0.0.1:{weir.weir_tcp}"], input="m v=1\n",
                              capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 1, done
        assert "of sender 77, and refuses" in done.stderr, done.stderr
        assert "weir senders forget 77" in done.stderr, done.stderr


def test_numbers_far_away_neither_block_a_sender_nor_spoil_a_counter():
    with Target() as weir:
        sender = wire.Sender(42, epoch=5, count=1)
        assert delivers(weir, sender)
        gaps = [weir.counter("sequence_gaps")]
        for number in (2**64 - 1, 2**63, 1 << 40):
            spoofed = wire.packet(42, 5, number, [wire.group(1, 7, 0, [2.0])], base_ms=now_ms())
            weir.datagrams([spoofed], STRANGER)
            gaps.append(weir.counter("sequence_gaps"))
            assert delivers(weir, sender), number
            gaps.append(weir.counter("sequence_gaps"))
        assert gaps == sorted(gaps) and gaps[-1] < 1000, gaps
        assert weir.counter("sequence_jumps") == 6
        # one row with a number of 64 bits breaks no table
        weir.datagrams([wire.packet(42, 5, 2**64 - 1, [wire.group(1, 7, 0, [2.0])],
                                    base_ms=now_ms())], STRANGER)
        lossy = wire.Sender(43, epoch=5, count=1)
        weir.datagrams([lossy.define()], ANOTHER)
        lossy.sequence = 9
        weir.datagrams([lossy.values(now_ms(), [1.0]), lossy.close()], ANOTHER)
        def table():
            done = subprocess.run([os.path.join(BIN, "weir"), "senders", "--http",
                                   f"127.0.0.1:{weir.http}"], capture_output=True, text=True,
                                  timeout=PATIENCE)
            assert done.returncode == 0, done
            return done.stdout
        wait_for(lambda: " 43 " in table(), "the sender that lost packets is in the table")


def test_stranger_with_idle_http_connections_costs_nobody_an_answer():
    with Target() as weir:
        strangers = []
        for _ in range(320):
            client = socket.socket()
            client.bind((STRANGER, 0))
            client.settimeout(60)
            client.connect(("127.0.0.1", weir.http))
            strangers.append(client)
        # health is answered at once, everything else as soon as one of them may go
        assert weir.get("/healthz")[0] == 200 and weir.get("/-/ready")[0] == 200
        wait_for(lambda: weir.get("/api/v1/labels")[0] == 200, "queries are answered")
        for client in strangers:
            client.close()


def test_stranger_who_reads_no_answers_leaves_room_for_those_of_others():
    with Target("--http-answers-max", "16MiB") as weir:
        for at in range(4):
            assert weir.say(b"".join(b"long,i=%d,l=%s v=1\n" % (i, b"x" * 1200) for i in
                                     range(at * 1000, at * 1000 + 1000)), "127.0.0.1") == (1000, 0)
        path = "/api/v1/series?match[]=long_v"
        status, body = weir.get(path)
        assert status == 200 and len(body) > 4 << 20, (status, len(body))
        strangers = []
        for _ in range(20):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.bind((STRANGER, 0))
            client.connect(("127.0.0.1", weir.http))
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            strangers.append(client)
        # on a slow machine its first ones are slow readers by then, and go
        wait_for(lambda: weir.counter("http_answers_refused") +
                 weir.metrics()['weir_http_connections_cut_total{reason="slow"}'] > 0,
                 "the stranger has had its share")
        assert weir.metrics()["weir_http_answers_bytes"] <= 16 << 20
        wait_for(lambda: weir.get(path)[0] == 200, "somebody else is answered")
        for client in strangers:
            client.close()


def test_stranger_with_many_queries_leaves_room_for_those_of_others():
    with Target() as weir:
        begin = now_ms() - 400_000
        lines = b"".join(b"busy v=%d %d000000\n" % (i % 7, begin + i) for i in range(400_000))
        assert weir.say(lines, "127.0.0.1") == (400_000, 0)
        ask = (f"/api/v1/metrics/query?metric=busy_v&from={begin // 1000}"
               f"&to={begin // 1000 + 400}&step=1")
        request = f"GET {ask} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        assert weir.get(ask)[0] == 200
        strangers = []
        for _ in range(100):  # more than the queue has places, and fewer than its share of sockets
            client = socket.create_connection(("127.0.0.1", weir.http), 60, (STRANGER, 0))
            strangers.append((client, client.makefile("rb")))
        refused = 0
        for _ in range(5):
            for client, _ in strangers:
                client.sendall(request)
            status, body = weir.get(ask)
            assert status == 200, (status, body)
            for _, answers in strangers:
                status = int(answers.readline().split()[1])
                length = 0
                retry = False
                while (line := answers.readline().strip()):
                    name, value = line.split(b": ", 1)
                    length = int(value) if name == b"Content-Length" else length
                    retry |= name == b"Retry-After"
                body = answers.read(length)
                if status != 200:
                    assert status == 503 and retry and b"queries of this source" in body, body
                    refused += 1
        assert refused > 0
        assert weir.metrics()[
            'weir_queries_total{endpoint="query",outcome="refused"}'] == refused
        for client, answers in strangers:
            answers.close()
            client.close()


def test_all_senders_are_listed_in_pages_and_a_sender_is_forgotten_for_good():
    with Target("--channels-max", "2000") as weir:
        ids = set(range(1000, 1300))
        packets = []
        for i in sorted(ids):
            sender = wire.Sender(i, epoch=9, channel=i % 3, count=1, name="same")
            packets += [sender.define()]
        weir.datagrams(packets, "127.0.0.1")
        sender = wire.Sender(7, epoch=int(time.time()) + 3000, count=1)
        assert delivers(weir, sender)
        wait_for(lambda: weir.json("/api/v1/senders")["channels"] == 301, "the channels are known")
        seen, after = [], None
        while True:
            page = weir.json("/api/v1/senders?limit=50" + (f"&after={after}" if after else ""))
            assert len(page["senders"]) <= 50
            seen += [(int(row["sender"]), row["channel"]) for row in page["senders"]]
            after = page["next"]
            if after is None:
                break
        assert sorted(seen) == sorted([(i, i % 3) for i in ids] + [(7, 0)]), len(seen)
        rows = weir.json("/api/v1/senders?sender=1007")["senders"]
        assert [row["sender"] for row in rows] == ["1007"] and rows[0]["last_seen"] > 0, rows
        assert weir.json("/api/v1/senders?silent=1h")["senders"] == []
        for bad in ("limit=0", "limit=x", "sender=-1", "after=1&after=2", "page=3", "silent=soon"):
            assert weir.get("/api/v1/senders?" + bad)[0] == 400, bad

        def command(*words, code=0):
            done = subprocess.run([os.path.join(BIN, "weir"), "senders", "--http",
                                   f"127.0.0.1:{weir.http}", *words], capture_output=True,
                                  text=True, timeout=PATIENCE)
            assert done.returncode == code, done
            return done.stdout + done.stderr
        assert "301 channels known, 301 of them listed, 10 shown" in command("--limit", "10")
        assert "1 of them asked for" in command("--sender", "1010")
        assert "no channel of sender 5555" in command("forget", "5555", code=1)
        late = wire.Sender(7, epoch=int(time.time()), count=1)
        assert weir.acks(late.define() + late.values(now_ms(), [1.0]))[0][1] == 4
        assert "1 channel of sender 7 forgotten" in command("forget", "7")
        late.sequence = 0  # what was refused comes again
        assert delivers(weir, late)
        weir.kill("dataplane")
        weir.stop()
        weir.start()
        assert delivers(weir, late)
        assert weir.json("/api/v1/senders?sender=7")["senders"][0]["epoch"] == late.epoch


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
