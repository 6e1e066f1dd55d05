#!/usr/bin/env python3
"""Writes tests/golden/log.txt: the small files of a log, made from the tables of docs/format/log.md."""
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import wire  # noqa: E402

STREAM, SEGMENT_BYTES = 0, 64 << 20


def with_crc(data):
    return data + struct.pack("<I", wire.crc32c(data))


def placed_crc(place, data):
    """Seeded with stream and place."""
    return wire.crc32c(struct.pack("<QQ", STREAM, place) + data)


def definitions(place, first, series):
    """A chunk at its place: header, list, zeros to the next multiple of 4,096."""
    listed = b"".join(len(labels).to_bytes(4, "little") + labels for labels in series)
    header = struct.pack("<4sIQIII", b"WEDF", 1, first, len(series), len(listed),
                         placed_crc(place + 32, listed))
    header += struct.pack("<I", placed_crc(place, header))
    return header + listed + bytes(-(32 + len(listed)) % 4096)


epoch = with_crc(struct.pack("<4sIIIQQQI", b"WEEP", 2, STREAM, 0, SEGMENT_BYTES, 7, 0x7f3000, 0))
marks = struct.pack("<Q", 16) + bytes(range(16)) + struct.pack("<Q", 8) + bytes(range(8))
old = with_crc(struct.pack(
    "<4sIIIQQQQQQqQIII", b"WECP", 1, STREAM, 1, SEGMENT_BYTES, 6, 5, 3, 4096, 1234567,
    1700000000000, len(marks), 0x12345678, wire.crc32c(marks), 0)) + marks
prints = bytes(range(100, 148))
checkpoint = with_crc(struct.pack(
    "<4sIIIQQQQQQQqIIQQQqIIQQQQIII", b"WECP", 2, STREAM, 1, 9, SEGMENT_BYTES, 6, 5, 3, 4096, 1234567,
    1700000000000, 0x12345678, 0, 6 * SEGMENT_BYTES + 8192, 7, 3, 1700000009000, 0x9abcdef0, 1, 2,
    0x1111, 0x2222, len(marks), len(prints), wire.crc32c(marks + prints), 0)) + marks + prints
chunk = definitions(0, 0, [wire.labels([("__name__", name), ("host", "a")])
                           for name in ("first", "second", "third")])
files = [("epoch", epoch), ("checkpoint", old), ("checkpoint.0", checkpoint), ("definitions", chunk)]
pathlib.Path(__file__).with_suffix(".txt").write_text(
    "".join(f"{name} {data.hex()}\n" for name, data in files))
