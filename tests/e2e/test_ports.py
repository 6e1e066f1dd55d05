"""Real frames: a DPDK port over veth between network namespaces, and a pcap file."""
import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

import tap
from instance import PATIENCE, SCRATCH, Instance, parse_ok, wait_for

SENDER_ADDRESS = "192.0.2.1"
WEIR_ADDRESS = "192.0.2.2"


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Veth:
    """A namespace with one end of a veth pair; the other end stays here, without an address."""

    def __init__(self, suffix=""):
        if os.geteuid() != 0 or not shutil.which("ip"):
            raise tap.Skip("needs root and iproute2 to make a network namespace")
        # not by pid, which may come again after a run that was killed and left them behind
        name = secrets.token_hex(4) + suffix
        self.space, self.near, self.far = f"weir-e2e-{name}", f"wn{name}", f"wf{name}"

    def __enter__(self):
        made = subprocess.run(["ip", "netns", "add", self.space], capture_output=True, text=True)
        if made.returncode != 0:
            raise tap.Skip("network namespaces are not allowed: " + made.stderr.strip())
        try:
            run("ip", "link", "add", self.near, "type", "veth", "peer", "name", self.far,
                "netns", self.space)
            run("ip", "link", "set", self.near, "up")
            mac = open(f"/sys/class/net/{self.near}/address").read().strip()
            self.inside("ip", "link", "set", "lo", "up")
            self.inside("ip", "addr", "add", f"{SENDER_ADDRESS}/24", "dev", self.far)
            self.inside("ip", "link", "set", self.far, "up")
            self.inside("ip", "neigh", "add", WEIR_ADDRESS, "lladdr", mac, "dev", self.far,
                        "nud", "permanent")
            if shutil.which("ethtool"):
                # kernel senders leave checksums to the device, and a veth has none
                self.inside("ethtool", "-K", self.far, "tx", "off")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run(["ip", "link", "del", self.near], capture_output=True)
        subprocess.run(["ip", "netns", "del", self.space], capture_output=True)

    def inside(self, *command):
        return run("ip", "netns", "exec", self.space, *command)

    def sender_drops(self):
        """Frames that the far end of the pair could not hand over."""
        return int(self.inside("cat", f"/sys/class/net/{self.far}/statistics/tx_dropped"))


def test_dpdk_port_over_veth_takes_real_frames():
    with Veth() as veth:
        vdev = f"net_af_packet0,iface={veth.near}"
        with Instance("--port", vdev, "--no-huge") as weir:
            now = int(time.time())
            # The series are known first: lines of unknown ones go by the registrar, and later ones
            # of the same series may overtake them.
            known = "".join(f"veth,h={h} f=9 {(now - 9) * 10**9}\n" for h in range(50))
            assert parse_ok(weir.send_tcp(known.encode()))[:2] == (50, 0)
            # Held to one core: a veth frame waits in the queue of the core it was sent from, and a
            # sender that moves overtakes itself. The port's ring has 512 frames: it holds all of
            # them, however long the port does not look.
            script = (
                "import os, socket\n"
                "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
                "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                "for i in range(250):\n"
                f"    s.sendto(b'veth,h=%d f=%d {now * 10**9}' % (i % 50, i // 50),"
                f" ('{WEIR_ADDRESS}', {weir.influx_udp}))\n"
                f"s.sendto(b'x', ('{WEIR_ADDRESS}', 9))\n"
                f"s.sendto(b'y' * 3000, ('{WEIR_ADDRESS}', {weir.influx_udp}))\n")
            veth.inside(sys.executable, "-c", script)

            def arrived():
                sums, residual = weir.ledger()
                assert set(residual.values()) == {0}, residual
                return sums[("samples", "stored")] == 300
            wait_for(arrived, "all samples stored")
            stored = weir.raw("veth_f", now, now + 1)
            assert len(stored) == 50
            assert all(points == [(now, 4.0)] for points in stored.values()), "the last one wins"
            assert weir.reason("packets", "rejected", "no_listener") == 1
            # the kernel puts fragments together for an af_packet port; the whole is too large
            wait_for(lambda: weir.reason("packets", "rejected", "truncated") +
                     weir.reason("packets", "rejected", "bad_header") +
                     weir.reason("packets", "rejected", "fragment") >= 1, "refused by name")


def test_frames_that_the_ring_of_a_packet_port_cannot_hold_are_counted():
    with Veth() as veth:
        # no frames but the test's
        off = "net.ipv6.conf.%s.disable_ipv6=1"
        run("sysctl", "-qw", off % veth.near)
        veth.inside("sysctl", "-qw", off % veth.far)
        with Instance("--port", f"net_af_packet0,iface={veth.near}", "--no-huge") as weir:
            count, now = 2000, int(time.time())
            before = weir.ledger()[0].get(("packets", "received"), 0)
            weir.kill("dataplane", signal.SIGSTOP)
            veth.inside(sys.executable, "-c", (
                "import socket\n"
                "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                f"for i in range({count}):\n"
                f"    s.sendto(b'veth,h=%d f=1 {now * 10**9}' % i,"
                f" ('{WEIR_ADDRESS}', {weir.influx_udp}))\n"))
            weir.kill("dataplane", signal.SIGCONT)
            found = {}

            def accounted():
                sums, _ = weir.ledger()
                found.update(received=sums[("packets", "received")] - before,
                             stored=sums.get(("samples", "stored"), 0),
                             missed=weir.metrics()["weir_ethdev_missed_total"])
                return found["stored"] == found["received"] and \
                    found["received"] + found["missed"] + veth.sender_drops() == count
            try:
                wait_for(accounted, "every frame is accounted for")
            except AssertionError as error:
                raise AssertionError(f"{error}: {found}") from None
            assert found["missed"] > 1000, found


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def udp_frame(port, payload, damage=None, fragment=0):
    udp_size = 8 + len(payload)
    source, target = socket.inet_aton(SENDER_ADDRESS), socket.inet_aton(WEIR_ADDRESS)
    pseudo = source + target + struct.pack("!BBH", 0, 17, udp_size)
    udp = struct.pack("!HHHH", 40000, port, udp_size, 0) + payload
    sum_ = checksum(pseudo + udp) or 0xffff
    if damage == "udp":
        sum_ ^= 0x5555
    udp = udp[:6] + struct.pack("!H", sum_) + udp[8:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + udp_size, 1, fragment, 64, 17, 0,
                     source, target)
    header_sum = checksum(ip) ^ (0x1111 if damage == "ip" else 0)
    ip = ip[:10] + struct.pack("!H", header_sum) + ip[12:]
    return b"\x02\0\0\0\0\1" + b"\x02\0\0\0\0\2" + b"\x08\x00" + ip + udp


def pcap_file(frames):
    out = struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1)
    for frame in frames:
        out += struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame
    return out


def test_pcap_file_is_received_and_damage_is_named():
    if os.geteuid() != 0:
        raise tap.Skip("EAL needs root")
    folder = tempfile.mkdtemp(prefix="weir-pcap-", dir=SCRATCH)
    try:
        weir = Instance("--port", f"net_pcap0,rx_pcap={folder}/in.pcap", "--no-huge")
        now = int(time.time())
        line = f"pcap f=1 {now * 10**9}".encode()
        port = weir.influx_udp
        arp = b"\xff" * 6 + b"\x02\0\0\0\0\2" + b"\x08\x06" + b"\0" * 46
        frames = [udp_frame(port, line), udp_frame(port, line, "udp"), udp_frame(port, line, "ip"),
                  arp, udp_frame(port + 1 if port < 65535 else 1, line),
                  udp_frame(port, line, fragment=0x2000), udp_frame(port, line, fragment=3)]
        with open(f"{folder}/in.pcap", "wb") as file:
            file.write(pcap_file(frames))
        with weir:
            wait_for(lambda: weir.raw("pcap_f", now, now + 1), "the good frame's sample")
            wait_for(lambda: weir.ledger()[0][("packets", "received")] == len(frames),
                     "all frames are received")
            assert set(weir.ledger()[1].values()) == {0}
            assert weir.reason("packets", "rejected", "bad_checksum") == 2
            assert weir.reason("packets", "rejected", "not_ip_udp") == 1
            assert weir.reason("packets", "rejected", "no_listener") == 1
            assert weir.reason("packets", "rejected", "fragment") == 2
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_ledger_closes_at_every_read_under_a_flood_of_frames():
    if os.geteuid() != 0:
        raise tap.Skip("EAL needs root")
    folder = tempfile.mkdtemp(prefix="weir-pcap-", dir=SCRATCH)
    try:
        weir = Instance("--port", f"net_pcap0,rx_pcap={folder}/in.pcap,infinite_rx=1", "--no-huge")
        now, port = int(time.time()), weir.influx_udp
        good = [udp_frame(port, "\n".join(f"frames,h={i % 97} f={i * 10 + k} {now * 10**9 + i}"
                                          for k in range(8)).encode()) for i in range(200)]
        bad = [udp_frame(port, b"broken\nold f=1 1\nm s=\"text\""), udp_frame(port, b""),
               udp_frame(port, good[0][42:], "udp"), udp_frame(port, good[0][42:], "ip"),
               udp_frame(port, b"x f=1", fragment=0x2000), udp_frame(9, b"x f=1"),
               b"\xff" * 12 + b"\x08\x06" + b"\0" * 46]
        with open(f"{folder}/in.pcap", "wb") as file:
            file.write(pcap_file(good + bad + good[:50]))
        with weir:
            end, reads = time.monotonic() + 3, 0
            while time.monotonic() < end or reads < 11:
                assert time.monotonic() < end + PATIENCE, reads
                sums, residual = weir.ledger()
                assert set(residual.values()) == {0}, residual
                reads += 1
            wait_for(lambda: weir.ledger()[0][("samples", "stored")] > 10000, "samples are stored")
            for reason in ("bad_checksum", "fragment", "no_listener", "not_ip_udp", "empty"):
                assert weir.reason("packets", "rejected", reason) > 0, reason
            for reason in ("bad_line", "time_past", "no_sample_accepted"):
                assert weir.reason("records", "rejected", reason) > 0, reason
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
