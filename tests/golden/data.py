#!/usr/bin/env python3
"""Makes tests/golden/data_v1: data directories as the program of one day left them, and their samples.

It was run with the program of commit 77450d4, the last that wrote version 1 of frames and checkpoints
(WEIR_BIN=build tests/golden/data.py data_v1). A later program cannot make these files again, and must
start on them (tests/e2e/test_upgrade.py). Labels of 8 KiB fill segments with bytes that compress.
"""
import json
import os
import pathlib
import socket
import struct
import sys
import tarfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import wire  # noqa: E402
from instance import Instance, free_port, parse_ok, wait_for  # noqa: E402

SEGMENT = ("--log-segment-size", "16MiB", "--log-size-max", "64MiB")
SENDER = 31
SERIES_OF_A_FILL = 250  # 2 MiB of labels
VALUES = ["0", "-0.0", "42.125", "1e22", "1e23", "5e-324", "1.7976931348623157e308", "123456.789",
          "-2.5e-7", "9007199254740993", "17i", "-9223372036854775808i", "t", "F"]


class Sent:
    """What was sent: metric -> labels as JSON -> [[ms, bits of the value]]."""

    def __init__(self):
        self.samples = {}
        self.fills = 0

    def add(self, metric, labels, ms, value):
        series = self.samples.setdefault(metric, {}).setdefault(json.dumps(labels), [])
        series.append([ms, struct.pack(">d", value).hex()])


def value_of(text):
    if text in ("t", "F"):
        return float(text == "t")
    return float(text.rstrip("i"))


def say(weir, text, port=None):
    answer = parse_ok(weir.send_tcp(text.encode(), port))
    assert answer and answer[:2] == (text.count("\n"), 0), answer


def few(weir, opentsdb, sent, round_, now):
    """A few lines of each protocol over TCP."""
    lines = ""
    for i, text in enumerate(VALUES):
        ms = (now + round_) * 1000 + i
        lines += f"cpu,host=h{i % 3},round={round_ % 2} v{i % 5}={text} {ms * 10**6}\n"
        sent.add(f"cpu_v{i % 5}", {"host": f"h{i % 3}", "round": str(round_ % 2)}, ms, value_of(text))
    say(weir, lines)
    second = now + round_
    say(weir, f"servers.a.load {round_}.25 {second}\nload;dc=\u00e4 {round_} {second}\n",
        weir.graphite_tcp)
    sent.add("servers.a.load", {}, second * 1000, round_ + 0.25)
    sent.add("load", {"dc": "\u00e4"}, second * 1000, round_)
    with socket.create_connection(("127.0.0.1", opentsdb)) as connection:
        connection.sendall(f"put sys.net {second} {round_}.5 if=eth0\n".encode())
        wait_for(lambda: weir.raw("sys.net", second, second + 1), "the sample of OpenTSDB is there")
    sent.add("sys.net", {"if": "eth0"}, second * 1000, round_ + 0.5)


def fill(weir, sent, now):
    """Series whose labels take 2 MiB."""
    lines = ""
    for _ in range(SERIES_OF_A_FILL):
        n = sent.fills
        lines += f"fill,n={n},pad={'x' * 8000} f={n} {(now * 1000 + n) * 10**6}\n"
        sent.fills += 1
    say(weir, lines)


def channel_of(port):
    channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    channel.connect(("127.0.0.1", port))
    return channel


def packets(weir, channel, sender, sent, now, numbers):
    """Ten series of a template of the weir protocol; packets stay for a test to send again."""
    out = []
    for n in numbers:
        ms = (now + n) * 1000
        out.append(sender.values(ms, [n + i / 4 for i in range(10)]))
        for i in range(10):
            sent.add(sender.name, {"i": str(i), "sender": str(SENDER)}, ms, n + i / 4)
    before = weir.ledger()[0].get(("samples", "stored"), 0)
    for packet in out:
        channel.send(packet)
    wait_for(lambda: weir.ledger()[0].get(("samples", "stored"), 0) == before + 10 * len(out),
             "all is stored")
    return out


def make(name, recycle):
    weir_port, opentsdb = free_port(socket.SOCK_DGRAM), free_port()
    sent, early = Sent(), []
    options = [*SEGMENT, *(["--log-full", "recycle"] if recycle else []),
               "--weir-udp", f"127.0.0.1:{weir_port}", "--opentsdb-tcp", f"127.0.0.1:{opentsdb}"]
    with Instance(*options) as weir:
        now = int(time.time()) - 3600
        channel, sender = channel_of(weir_port), wire.Sender(SENDER)
        channel.send(sender.define())
        early = packets(weir, channel, sender, sent, now, range(3))
        few(weir, opentsdb, sent, 0, now)
        rounds = 1
        while recycle and weir.metrics()["weir_log_segments_recycled_total"] < 2:
            fill(weir, sent, now)
            time.sleep(0.3)  # the checkpointer's time
        if recycle:
            sent.samples.clear()  # their segments are gone
        for _ in range(3):
            few(weir, opentsdb, sent, rounds, now)
            rounds += 1
        fill(weir, sent, now)
        early += packets(weir, channel, sender, sent, now, range(3, 5))
        series = weir.metrics()["weir_series"]
        if recycle:
            weir.process.kill()  # all end with the supervisor; the epoch file knows an old end
            weir.process.wait()
            time.sleep(2)
        else:
            weir.stop()
        archive(name, weir.data)
        return {"start_ms": now * 1000, "series": series, "fills": sent.fills,
                "options": options[:4 + 2 * recycle], "packets": [packet.hex() for packet in early], "samples": sent.samples}


def archive(name, data):
    """The directory without what processes keep there while they run."""
    def keep(entry):
        return None if entry.name.startswith("data/run") else entry
    with tarfile.open(OUT / f"{name}.tar.xz", "w:xz", preset=9) as tar:
        tar.add(data, "data", filter=keep)


OUT = HERE / sys.argv[1]
OUT.mkdir(exist_ok=True)
(OUT / "samples.json").write_text(
    json.dumps({"plain": make("plain", False), "recycled": make("recycled", True)},
               sort_keys=True) + "\n")
