"""Cases of what a listener makes of bytes: influx, graphite, opentsdb and weir.jsonl.

Each line of a file is a case of its own, against one running instance. README.md says how to read
them.
"""
import json
import math
import pathlib
import re
import socket
import struct
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import wire  # noqa: E402
from instance import Instance, bits, free_port, parse_ok, wait_for  # noqa: E402

BASE = int(time.time())
EPOCH = 7


def text_of(case, name):
    """The bytes that a case sends."""
    parts = case["send"] if isinstance(case["send"], list) else [case["send"]]
    return bytes_of("".join(part if isinstance(part, str) else part[0] * part[1]
                            for part in parts), name)


def bytes_of(text, name):
    """@n@ is the case's name, @s@ the base time in seconds, @s+N@ and @s-N@ beside it."""
    text = re.sub(r"@s([+-]\d+)?@", lambda m: str(BASE + int(m[1] or 0)), text)
    return text.replace("@n@", name).encode(errors="surrogateescape")


def labels(pairs, name):
    out = b""
    for key, value in pairs.items():
        key, value = (x.replace("@n@", name).encode(errors="surrogateescape") for x in (key, value))
        out += struct.pack("<HH", len(key), len(value)) + key + value
    return struct.pack("<H", len(out)) + out


def record_of(record, name):
    kind, *rest = record
    if kind == "beat":
        return wire.heartbeat(*rest)
    if kind == "group":
        template, digest, first, values, offset, offsets = rest
        return wire.group(template, digest, first, [float(v) for v in values], offset, offsets)
    template, digest, total, first, common, series = rest
    body = b"".join(labels(pairs, name) for pairs in [common] + series)
    return wire.record(wire.DEFINITION, 0, template, first, digest, len(series), total, body)


def packet_of(packet, sender, name):
    data = bytearray(wire.packet(sender, packet.get("epoch", EPOCH), packet["seq"],
                                 [record_of(r, name) for r in packet["records"]],
                                 BASE * 1000 + packet.get("base", 0), packet.get("channel", 0),
                                 packet.get("flags", 0)))
    for at, octets in packet.get("patch", []):
        data[at:at + len(octets)] = bytes(octets)
    if packet.get("sum", True):
        data[44:48] = struct.pack("<I", wire.crc32c(bytes(data[:44] + data[64:])))
    return bytes(data[:packet.get("cut", len(data))])


def refusals(weir):
    """{reason: records refused}, and whether nothing is on its way."""
    values, out = weir.metrics(), {}
    for name, value in values.items():
        match = re.match(r'weir_ledger_total\{unit="records",class="rejected",reason="(\w+)"', name)
        if match and value:
            out[match[1]] = out.get(match[1], 0) + int(value)
    return out


def difference(after, before):
    return {k: v - before.get(k, 0) for k, v in after.items() if v != before.get(k, 0)}


def send_lines(weir, case, name, port):
    *lines, last = weir.send_tcp(text_of(case, name), port).splitlines(keepends=True) or [b""]
    answer = parse_ok(last)
    assert answer, "no answer"
    if "answers" in case:
        wanted = [bytes_of(text, name) for text in case["answers"]]
        assert len(lines) == len(wanted) and all(
            line.startswith(begin) for line, begin in zip(lines, wanted)), f"answers: {lines}"
    assert answer[1] == sum(case["refused"].values()), f"{answer[1]} records rejected"


def send_packets(weir, case, name, sender):
    def arrived():
        sums = weir.ledger()[0]
        return sums.get(("packets", "received"), 0) == before + len(case["packets"]) and not any(
            sums.get((unit, "in_flight"), 0) for unit in ("packets", "records", "samples"))
    before = weir.ledger()[0].get(("packets", "received"), 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for packet in case["packets"]:
            out.sendto(packet_of(packet, sender, name), ("127.0.0.1", weir.weir_udp))
    wait_for(arrived, f"the packets of {case['case']} have been worked on")


def check_series(weir, case, name, began):
    wanted, found = {}, {}
    for metric, pairs, points in case["series"]:
        metric = metric.replace("@n@", name)
        wanted[metric, tuple(sorted(pairs.items()))] = points
        for key, values in weir.raw(metric, BASE - 60, time.time() + 60).items():
            found[metric, key] = values
    for key, points in wanted.items():
        got = found.pop(key, [])
        assert len(got) == len(points), f"{key}: {got}"
        for (seconds, value), (at, expected) in zip(got, points):
            expected = float(expected)
            assert bits(value) == bits(expected) or (math.isnan(value) and math.isnan(expected)), (
                f"{key}: value {value}, not {expected}")
            if at == "now":
                assert began - 0.001 <= seconds <= time.time(), f"{key}: time {seconds}"
            else:
                assert round(seconds * 1000) == BASE * 1000 + at, f"{key}: time {seconds}"
    assert not found, f"besides: {found}"


def run_case(weir, proto, case, number):
    name, began, before = f"case{number}", time.time(), refusals(weir)
    if proto == "weir":
        send_packets(weir, case, name, 1000 + number)
    else:
        send_lines(weir, case, name, getattr(weir, proto + "_tcp"))
    check_series(weir, case, name, began)
    refused = difference(refusals(weir), before)
    assert refused == case["refused"], f"refused: {refused}"


def main():
    cases = [(proto, json.loads(line)) for proto in ("influx", "graphite", "opentsdb", "weir")
             for line in (HERE / f"{proto}.jsonl").read_text().splitlines()]
    print(f"1..{len(cases)}", flush=True)
    weir_udp, opentsdb_tcp = free_port(socket.SOCK_DGRAM), free_port()
    failed = 0
    with Instance("--weir-udp", f"127.0.0.1:{weir_udp}",
                  "--opentsdb-tcp", f"127.0.0.1:{opentsdb_tcp}") as weir:
        weir.weir_udp = weir_udp
        weir.opentsdb_tcp = opentsdb_tcp
        for number, (proto, case) in enumerate(cases, 1):
            try:
                run_case(weir, proto, case, number)
                print(f"ok {number} - {proto}: {case['case']}")
            except AssertionError as error:
                failed += 1
                print(f"not ok {number} - {proto}: {case['case']}: {error}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
