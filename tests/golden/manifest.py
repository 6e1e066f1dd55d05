#!/usr/bin/env python3
"""Writes manifest_v1.bin from docs/format/manifest.md alone, without the program's code."""
import struct

HOUR = 3600000


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def part(file_id, partition, time, log_from):
    return struct.pack("<QqIIIBBBBQQqqQQ", file_id, partition, 0, 3, 0, 1, 0, 0, 0, log_from,
                       log_from + 4096, time, time, 10 + file_id, 9000)


body = b"".join([
    struct.pack("<qq", -4 * HOUR, -2 * HOUR), struct.pack("<qq", 4 * HOUR, 6 * HOUR),
    part(9, -4 * HOUR, -3 * HOUR, 8192), part(8, 4 * HOUR, 5 * HOUR + 5, 0),
    part(7, 4 * HOUR, 5 * HOUR, 4096),
    struct.pack("<QQQII", 77, 1, 5000, 2, 100)])
ledger = struct.pack("<6Q", 54, 54, 0, 0, 0, 0) + bytes(7 * 48)
head = struct.pack("<IHHQQQIIII", 0x4D524557, 1, 0, 3, 512 + len(body), 12288, 2, 3, 1,
                   crc32c(body)) + ledger + bytes(76)
head += struct.pack("<I", crc32c(head))
with open(__file__.replace("manifest.py", "manifest_v1.bin"), "wb") as out:
    out.write(head + body)
