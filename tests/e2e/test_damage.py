"""What people and devices do to DATA: files moved, cut, damaged, replaced, and no room left."""
import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

import tap
import wire
from instance import BIN, SCRATCH, Instance, free_port, parse_ok, wait_for

NOW = int(time.time())
ROOM = 16 << 20  # the smallest segment


def segment(weir, index):
    return os.path.join(weir.data, "log", "0", "%016x.seg" % index)


def say(weir, text):
    """Sends lines that have to be taken; returns the durable offset."""
    lines = text.encode()
    answer = parse_ok(weir.send_tcp(lines))
    assert answer and answer[:2] == (lines.count(b"\n"), 0), (text[:200], answer)
    return answer[2]


def flip(path, offset, mask=1):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ mask]))


def values_of(weir, metric, **labels):
    return weir.raw(metric, NOW - 1000, NOW + 1000, **labels)


def test_the_name_of_lost_definitions_is_refused_at_every_door_and_never_stops_a_start():
    weir_port = free_port()
    with Instance("--weir-tcp", f"127.0.0.1:{weir_port}") as weir:
        say(weir, f"cpu,host=a v=1 {NOW}000000000\n")
        name = "weir_lost_definition"
        lines = "".join(f"{name},number={n} value=1\nweir_lost,number={n} definition=1\n"
                        for n in range(4)).encode()
        assert parse_ok(weir.send_tcp(lines))[:2] == (0, 8)
        plain = f"{name} 1 {NOW}\n{name};number=0 1 {NOW}\n".encode()
        assert parse_ok(weir.send_tcp(plain, weir.graphite_tcp))[:2] == (0, 2)
        points = f"{name},number=1 value=1\ngood value=1 {NOW}000000000\n"
        sent = subprocess.run([f"{BIN}/weir", "send", "--proto", "weir", "--tcp",
                               f"127.0.0.1:{weir_port}", "--lines", "influx"], input=points,
                              text=True, capture_output=True)
        assert "ok 2 1 " in sent.stdout, sent
        assert values_of(weir, name) == {}
        assert values_of(weir, "good") == {(): [(NOW, 1.0)]}
        assert weir.reason("samples", "rejected", "bad_labels") >= 10
        say(weir, f"disk,host=a v=1 {NOW}000000000\n")
        weir.stop()
        with open(segment(weir, 0), "rb") as file:
            at = file.read(65536).index(b"cpu_v")
        flip(segment(weir, 0), at)
        weir.start()
        assert values_of(weir, "disk_v") == {(("host", "a"),): [(NOW, 1.0)]}
        assert values_of(weir, name) == {(("number", "0"),): [(NOW, 1.0)]}
        # its samples stay its own: nobody adds any
        assert parse_ok(weir.send_tcp(f"{name},number=0 value=5\n".encode()))[:2] == (0, 1)
        assert values_of(weir, name) == {(("number", "0"),): [(NOW, 1.0)]}


def test_a_segment_put_back_after_senders_went_on_gives_one_series_with_all_samples():
    with Instance("--log-segment-size", "16MiB") as weir:
        say(weir, f"cpu,host=a usage=1 {NOW}000000000\ncpu,host=a usage=1 {NOW + 2}000000000\n")
        fill = "".join(f"fill,s={k} v={k * 7919 % 99991}.%d {NOW}000000000\n" for k in range(60000))
        end = 0
        while end < ROOM + 8192:
            end = say(weir, fill.replace("%d", str(end)))
        weir.stop()
        os.rename(segment(weir, 0), weir.data + ".away")
        weir.start()
        say(weir, f"cpu,host=a usage=2 {NOW + 1}000000000\ncpu,host=a usage=3 {NOW + 2}000000000\n")
        host = (("host", "a"),)
        assert values_of(weir, "cpu_usage") == {host: [(NOW + 1, 2.0), (NOW + 2, 3.0)]}
        weir.stop()
        os.rename(weir.data + ".away", segment(weir, 0))
        for more in range(2):
            weir.start()
            say(weir, f"cpu,host=a usage={4 + more} {NOW + 3}000000000\n")
            whole = [(NOW, 1.0), (NOW + 1, 2.0), (NOW + 2, 3.0), (NOW + 3, 4.0 + more)]
            assert values_of(weir, "cpu_usage") == {host: whole}
            assert values_of(weir, "fill_v", s=5).keys() == {(("s", "5"),)}
            status, body = weir.get("/api/v1/series", **{"match[]": "cpu_usage"})
            assert status == 200 and len(json.loads(body)["data"]) == 1, body
            assert json.loads(weir.get("/healthz")[1])["status"] == "ok"
            weir.stop()
        os.rename(segment(weir, 0), weir.data + ".away")
        weir.start()  # and away again
        assert values_of(weir, "cpu_usage")[host][0] == (NOW + 1, 2.0)
        os.unlink(weir.data + ".away")


def kill_all(weir):
    for name in ("supervisor", "dataplane", "controlplane"):
        weir.kill(name)
    weir.process.wait(120)
    # the orphans too: the next start waits for the dataplane's lock by itself


def frames_of(path):
    """(offset, bytes, type) of the frames at the beginning of a segment."""
    with open(path, "rb") as file:
        data = file.read(1 << 20)
    frames, at = [], 0
    while data[at:at + 4] == b"WERF":
        kind, = struct.unpack_from("<H", data, at + 6)
        size, = struct.unpack_from("<Q", data, at + 24)
        frames.append((at, size, kind))
        at += size
    return frames


def durable_of(weir):
    with open(os.path.join(weir.data, "log", "0", "epoch"), "rb") as file:
        return struct.unpack_from("<Q", file.read(48), 32)[0]


def test_damage_to_the_last_frame_of_an_idle_instance_that_was_killed_is_counted_and_named():
    with Instance() as weir:
        for i in range(3):
            end = say(weir, f"m v={i} {NOW + i}000000000\n")
        # the acknowledgement of another life, until nothing was written for a second
        wait_for(lambda: durable_of(weir) == end, "the epoch file follows the log at rest")
        kill_all(weir)
        last = frames_of(segment(weir, 0))[-1]
        flip(segment(weir, 0), last[0] + 40)
        weir.start()
        assert weir.metrics()["weir_log_frames_corrupt_total"] == 1
        assert f"event=log_corrupt offset={last[0]}" in weir.log()
        assert b'"damage":{"frames_corrupt":1' in weir.get("/healthz")[1]
        assert values_of(weir, "m_v") == {(): [(NOW, 0.0), (NOW + 1, 1.0)]}


def test_data_of_a_later_program_is_refused_and_left_as_it_is():
    with Instance() as weir:
        for i in range(3):
            say(weir, f"m v={i} {NOW + i}000000000\n")
        kill_all(weir)
        last = frames_of(segment(weir, 0))[-1][0]
        with open(segment(weir, 0), "r+b") as file:
            file.seek(last)
            header = bytearray(file.read(128))
            header[4] = 3  # the version
            place = struct.pack("<QQ", 0, last)
            struct.pack_into("<I", header, 124, wire.crc32c(place + bytes(header[:124])))
            file.seek(last)
            file.write(header)
        with open(segment(weir, 0), "rb") as file:
            before = file.read()
        for _ in range(2):
            weir.start(wait=False)
            assert weir.process.wait(120) == 2, weir.log()
            assert "is a later program's: version 3" in weir.log(), weir.log()
            with open(segment(weir, 0), "rb") as file:
                assert file.read() == before


def test_segments_that_changed_names_are_refused_and_not_written_to():
    with Instance("--log-segment-size", "16MiB") as weir:
        fill = "".join(f"fill,s={k} v={k * 7919 % 99991}.%d {NOW}000000000\n" for k in range(60000))
        end = 0
        while end < ROOM + 8192:
            end = say(weir, fill.replace("%d", str(end)))
        weir.stop()

        def swap():
            os.rename(segment(weir, 0), weir.data + ".away")
            os.rename(segment(weir, 1), segment(weir, 0))
            os.rename(weir.data + ".away", segment(weir, 1))
        swap()
        weir.start(wait=False)
        assert weir.process.wait(120) == 2, weir.log()
        assert "no frame lies at its place" in weir.log()
        swap()
        weir.start()
        assert len(values_of(weir, "fill_v", s=59999)) == 1
        assert weir.metrics()["weir_log_frames_corrupt_total"] == 0


def test_without_its_lock_files_an_instance_still_keeps_others_off_its_data():
    with Instance() as weir:
        say(weir, f"m v=1 {NOW}000000000\n")
        locks = [os.path.join(weir.data, name) for name in ("lock", "run/dataplane.lock")]

        def refused(text):
            other = Instance(data=weir.data)
            other.log_path += ".other"
            other.start(wait=False)
            assert other.process.wait(120) == 1
            assert text in other.log(), other.log()
            os.unlink(other.log_path)
        for path in locks:
            os.unlink(path)
        refused("another instance runs on")
        wait_for(lambda: all(os.path.exists(path) for path in locks), "the locks are made anew")
        assert weir.log().count("event=lock_removed") == 2
        refused("another instance runs on")
        assert say(weir, f"m v=2 {NOW + 1}000000000\n")
        weir.stop()
        # a dataplane whose supervisor was killed holds this one until it has flushed
        folder = os.open(os.path.join(weir.data, "log"), os.O_RDONLY)
        fcntl.flock(folder, fcntl.LOCK_EX)
        refused("a dataplane of an earlier instance still writes")
        os.close(folder)
        weir.start()
        assert values_of(weir, "m_v") == {(): [(NOW, 1.0), (NOW + 1, 2.0)]}


def test_an_instance_whose_data_is_replaced_stops_and_says_so():
    with Instance() as weir:
        say(weir, f"m v=1 {NOW}000000000\n")
        os.rename(weir.data, weir.data + ".moved")
        os.mkdir(weir.data)
        assert weir.process.wait(120) == 1
        assert "event=data_lost" in weir.log(), weir.log()
        assert os.listdir(weir.data) == [] or os.listdir(weir.data) == ["run"]
        os.rename(weir.data, weir.data + ".empty")
        os.rename(weir.data + ".moved", weir.data)
        weir.start()
        assert values_of(weir, "m_v") == {(): [(NOW, 1.0)]}
        os.rmdir(weir.data + ".empty")


def mounted(megabytes):
    """A small ext4 file system, on a loop device where there is one."""
    if os.geteuid() != 0:
        raise tap.Skip("needs root: it mounts a small file system")
    folder = tempfile.mkdtemp(prefix="weir-e2e-full-", dir=SCRATCH)
    image = folder + ".img"
    mount = os.path.join(folder, "mnt")
    os.mkdir(mount)
    with open(image, "wb") as file:
        file.truncate(megabytes << 20)
    for command in (["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", image],
                    ["mount", "-o", "loop", image, mount]):
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:
            done = None
        if done is None or done.returncode != 0:
            os.unlink(image)
            shutil.rmtree(folder)
            raise tap.Skip(f"{command[0]}: {done.stderr.strip() if done else 'not there'}")
    return folder, image, mount


def fill_device(mount):
    """Leaves not one block."""
    path = os.path.join(mount, "ballast")
    with open(path, "ab", buffering=0) as file:
        for size in (1 << 20, 4096, 512):
            try:
                while True:
                    file.write(b"x" * size)
                    os.fsync(file.fileno())
            except OSError:
                pass
    return path


def children(weir):
    """Pids by program: a full device has no room for pid files."""
    found = {}
    for path in os.listdir("/proc"):
        try:
            with open(f"/proc/{path}/stat") as stat:
                name, rest = stat.read().split("(", 1)[1].rsplit(")", 1)
        except (OSError, IndexError):
            continue
        if rest.split()[1] == str(weir.process.pid):
            found[name] = int(path)
    return found


def status_of(weir):
    try:
        health = json.loads(weir.get("/healthz")[1])
        return health.get("reason", health["status"])
    except OSError:
        return None


def test_a_full_device_stops_neither_a_start_nor_a_query():
    folder, image, mount = mounted(64)
    try:
        with Instance("--log-segment-size", "16MiB", "--log-size-max", "1GiB",
                      data=os.path.join(mount, "data")) as weir:
            weir.log_path = folder + "/weir.log"
            say(weir, f"m v=1 {NOW}000000000\n")
            weir.stop()
            ballast = fill_device(mount)
            weir.start()
            assert "event=disk_full file=" in weir.log()
            # again: the room is there after it was used
            os.kill(weir.process.pid, signal.SIGKILL)
            weir.process.wait(120)
            weir.start()
            assert values_of(weir, "m_v") == {(): [(NOW, 1.0)]}
            # what is left of the segment is used
            say(weir, f"m v=2 {NOW + 1}000000000\n")
            dataplane = children(weir)["weir-dataplane"]
            os.kill(dataplane, signal.SIGKILL)
            wait_for(lambda: children(weir).get("weir-dataplane", dataplane) != dataplane,
                     "another dataplane")
            weir.wait_open()
            say(weir, f"m v=3 {NOW + 2}000000000\n")
            weir.stop()
            # without that room: it starts, answers, refuses by name, and goes on by itself
            os.unlink(os.path.join(weir.data, "log", "0", "epoch.spare"))
            fill_device(mount)
            weir.start(wait=False)
            wait_for(lambda: status_of(weir) == "disk_full", "it says that there is no room")
            whole = {(): [(NOW, 1.0), (NOW + 1, 2.0), (NOW + 2, 3.0)]}
            assert values_of(weir, "m_v") == whole
            os.unlink(ballast)
            wait_for(lambda: status_of(weir) == "ok", "there is room")
            say(weir, f"m v=4 {NOW + 3}000000000\n")
            weir.stop()
    finally:
        subprocess.run(["umount", "--lazy", mount], check=True)
        os.unlink(image)
        shutil.rmtree(folder)


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
