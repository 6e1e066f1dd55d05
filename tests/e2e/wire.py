"""The weir protocol as docs/format/wire.md states it, written down a second time."""
import struct

MAGIC, ACK_MAGIC, ACK = 0x52494557, 0x4B434157, struct.Struct("<IHHIIQQ")
GROUP, GROUP_OFFSETS, DEFINITION, HEARTBEAT = 1, 2, 3, 4
UNNUMBERED, BYE = 1, 1
TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def labels(pairs):
    return b"".join(struct.pack("<HH", len(n.encode()), len(v.encode())) + n.encode() + v.encode()
                    for n, v in pairs)


def packet(sender, epoch, sequence, records, base_ms=0, channel=0, flags=0, version=1):
    body = b""
    for record in records:
        body += b"\0" * (-len(body) % 64) + record
    head = struct.pack("<IBBHIIQQqHH", MAGIC, version, flags, len(records), 64 + len(body), epoch,
                       sender, sequence, base_ms, channel, 0)
    return head + struct.pack("<I", crc32c(head + body)) + b"\0" * 16 + body


def record(kind, flags, template, first, digest, count, total, body):
    return struct.pack("<BBHHHIHH", kind, flags, 16 + len(body), template, first, digest, count,
                       total) + body


def group(template, digest, first, values, offset_ms=0, offsets=None):
    body = struct.pack("<q", offset_ms) + struct.pack(f"<{len(values)}d", *values)
    if offsets is not None:
        body += struct.pack(f"<{len(offsets)}i", *offsets)
    kind = GROUP if offsets is None else GROUP_OFFSETS
    return record(kind, 0, template, first, digest, len(values), 0, body)


def definition(template, digest, total, first, common, series):
    body = b"".join(struct.pack("<H", len(part)) + part
                    for part in [labels(common)] + [labels(s) for s in series])
    return record(DEFINITION, 0, template, first, digest, len(series), total, body)


def heartbeat(last, bye=False):
    return record(HEARTBEAT, BYE if bye else 0, 0, 0, 0, 0, 0, struct.pack("<Q", last))


class Sender:
    """One channel: numbers its packets, remembers what it sent."""

    def __init__(self, sender, epoch=1, channel=0, count=10, digest=7, name=None):
        self.sender, self.epoch, self.channel = sender, epoch, channel
        self.count, self.digest, self.sequence = count, digest, 0
        self.name = name or f"wire_{sender}"

    def number(self, records, base_ms=0):
        self.sequence += 1
        return packet(self.sender, self.epoch, self.sequence, records, base_ms, self.channel)

    def define(self, first=0, count=None):
        series = [[("i", str(i))] for i in range(first, first + (count or self.count - first))]
        return self.number([definition(1, self.digest, self.count, first,
                                       [("__name__", self.name), ("sender", str(self.sender))],
                                       series)])

    def values(self, time_ms, values, first=0):
        return self.number([group(1, self.digest, first, values)], time_ms)

    def close(self, bye=True):
        return packet(self.sender, self.epoch, self.sequence, [heartbeat(self.sequence, bye)],
                      channel=self.channel, flags=UNNUMBERED)
