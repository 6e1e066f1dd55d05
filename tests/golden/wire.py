#!/usr/bin/env python3
"""Writes tests/golden/wire.txt: the packets of one small sender, by the Python twin of the format."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import wire  # noqa: E402

SENDER, EPOCH, CHANNEL = 0x0102030405060708, 7, 3
COMMON = [("job", "golden"), ("host", "a")]
SERIES = [[("__name__", "first")], [("__name__", "second"), ("core", "0")]]
TEMPLATE = b"".join(len(wire.labels(part)).to_bytes(2, "little") + wire.labels(part)
                    for part in [COMMON] + SERIES)
DIGEST = wire.crc32c(TEMPLATE)


def packet(sequence, records, base_ms=0, flags=0):
    return wire.packet(SENDER, EPOCH, sequence, records, base_ms, CHANNEL, flags)


definition = wire.definition(0, DIGEST, 2, 0, COMMON, SERIES)
groups = [wire.group(0, DIGEST, 0, [1.5, -2.0]), wire.group(0, DIGEST, 1, [0.1], 10)]
lines = [("definition", packet(0, [definition], flags=wire.UNNUMBERED)),
         ("groups", packet(1, groups, 1700000000000)),
         ("bye", packet(1, [wire.heartbeat(1, True)], flags=wire.UNNUMBERED))]
pathlib.Path(__file__).with_suffix(".txt").write_text(
    "".join(f"{name} {data.hex()}\n" for name, data in lines))
