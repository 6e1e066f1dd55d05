"""Lines that senders spoil: what is lost, what is not, and what the sender hears."""
import socket
import sys
import time

import tap
from instance import Instance, parse_ok, wait_for

NOW = int(time.time())


def refused(weir, reason):
    return weir.reason("records", "rejected", reason)


def test_open_quote_costs_one_line_over_tcp_and_udp():
    """An agent writes an uptime as text and forgets the closing quote."""
    spoiled = f's,h=p up="5 days {NOW}\n'
    good = [f'good,h=h{i % 100} v={i} {NOW * 1000 + i}\n' for i in range(3000)]
    strings = [f'good,h=s{i % 100} text="it, is {i}",v={i} {NOW * 1000 + i}\n' for i in range(500)]
    with Instance() as weir:
        for behind in (good, strings):
            answer = parse_ok(weir.send_tcp((spoiled + "".join(behind)).encode()))
            assert answer[:2] == (len(behind), 1), answer
        assert refused(weir, "unclosed_string") == 2
        weir.send_udp((spoiled + "".join(good[:10])).encode())
        wait_for(lambda: refused(weir, "unclosed_string") == 3, "the datagram's line is refused")
        stored = sum(len(points) for points in weir.raw("good_v", NOW - 1, NOW + 10).values())
        assert stored == 3500, stored  # the datagram's ten have come before


def test_open_quote_holds_a_stream_for_64_kib_only():
    with Instance() as weir:
        line = f"held,h=a v=1 {NOW}\n".encode()
        with socket.create_connection(("127.0.0.1", weir.influx_tcp)) as sender:
            sender.sendall(f's up="5 days {NOW}\n'.encode() + line * (65536 // len(line) + 1))
            # nobody has closed the connection
            wait_for(lambda: refused(weir, "unclosed_string") == 1, "the open quote is given up")
            wait_for(lambda: weir.raw("held_v", NOW - 1, NOW + 1), "the lines behind it are there")


def test_cut_last_line_is_refused_and_told():
    with Instance() as weir:
        answer = weir.send_tcp(b"cpu usage=12.25\ncpu usage=12")
        assert parse_ok(answer)[:2] == (1, 1), answer
        answer = weir.send_tcp(f"cpu usage=13 {NOW}".encode())
        assert parse_ok(answer)[:2] == (1, 0), answer
        answer = weir.send_tcp(f"cpu.usage 12 {NOW}\ncpu.usage 1".encode(), weir.graphite_tcp)
        assert parse_ok(answer)[:2] == (1, 1), answer
        assert refused(weir, "cut_line") == 2
        weir.send_udp(b"datagram usage=12")
        wait_for(lambda: weir.raw("datagram_usage", NOW - 1, NOW + 1000), "a datagram has an end")


def test_control_bytes_are_bad_lines():
    with Instance() as weir:
        answer = weir.send_tcp(b"m,k=x\x01y v=1\nm,k=a\\\x02 v=1\nm\x7f v=1\nm s=\"\x01\",v=2\n")
        assert parse_ok(answer)[:2] == (1, 3), answer
        assert refused(weir, "bad_line") == 3


def test_graphite_keeps_paths_whose_tags_are_malformed():
    with Instance() as weir:
        answer = weir.send_tcp(f'disk;host 1 {NOW}\ndisk;host= 2 {NOW}\ndisk{{host="a"}} 3 {NOW}\n'
                               f"disk;host=a;host=b 4 {NOW}\n".encode(), weir.graphite_tcp)
        assert parse_ok(answer)[:2] == (4, 0), answer
        for name, labels, value in (("disk;host", (), 1), ("disk;host=", (), 2),
                                    ("disk", (("host", "a"),), 3), ("disk", (("host", "b"),), 4)):
            points = weir.raw(name, NOW - 1, NOW + 1)[labels]
            assert points == [(NOW, value)], (name, points)


def test_64_tags_are_taken_by_every_protocol():
    with Instance() as weir:
        for count, taken in ((64, 1), (65, 0)):
            influx = "".join(f",t{i}=x" for i in range(count))
            graphite = "".join(f";t{i}=x" for i in range(count))
            answer = parse_ok(weir.send_tcp(f"i{influx} v=1 {NOW}\n".encode()))
            assert answer[:2] == (taken, 1 - taken), (count, answer)
            answer = parse_ok(weir.send_tcp(f"g{graphite} 1 {NOW}\n".encode(), weir.graphite_tcp))
            assert answer[:2] == (taken, 1 - taken), (count, answer)
        assert refused(weir, "bad_labels") == 2


def test_http_on_a_line_port_is_told_where_http_is():
    with Instance() as weir:
        for port, words in ((weir.influx_tcp, b"Influx lines"),
                            (weir.graphite_tcp, b"Graphite lines")):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"POST /write?db=m HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
                client.sendall(b"m value=1\n" * 1000)
                answer = b""
                while piece := client.recv(4096):
                    answer += piece
            assert answer.startswith(b"HTTP/1.1 400 "), answer
            assert words in answer and f"http://127.0.0.1:{weir.http}/".encode() in answer, answer
        wait_for(lambda: weir.metrics()["weir_http_refused_total"] == 2, "they are counted")
        assert weir.ledger()[0].get(("records", "received"), 0) == 0


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
