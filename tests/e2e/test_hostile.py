"""Hostile senders: one stranger takes what it can get, and everybody else goes on.

Strangers send from 127.0.0.2 and further addresses, honest senders from 127.0.0.1, and no source is
trusted, so that the shares of the tables act on all of them (base/shares.h).
"""
import json
import socket
import sys

import tap
from instance import Instance, parse_ok, wait_for

STRANGER, ANOTHER = "127.0.0.2", "127.0.0.3"


class Target(Instance):
    """Trusts nobody, and is small enough to be filled quickly."""

    def __init__(self, *options, **named):
        super().__init__("--trusted-sources", "none", *options, **named)

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


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
