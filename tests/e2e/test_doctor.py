"""weir doctor: what it says of the place, the clock and the addresses of a configuration."""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
import tap
from instance import BIN, SCRATCH, Instance, free_port


def doctor(*options):
    """Exit code, findings by name, standard error."""
    done = subprocess.run([os.path.join(BIN, "weir"), "doctor", "--json", *options],
                          capture_output=True, text=True)
    found = json.loads(done.stdout) if done.stdout else []
    return done.returncode, {finding["check"]: finding for finding in found}, done.stderr


class Place:
    """A folder for data, and a configuration whose addresses are free."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="weir-e2e-doctor-", dir=SCRATCH)
        self.config = os.path.join(self.folder, "weir.yaml")
        self.udp = free_port(socket.SOCK_DGRAM)
        self.tcp = free_port()
        self.http = free_port()
        with open(self.config, "w") as file:
            file.write(f"data: {self.folder}/data\nhttp: 127.0.0.1:{self.http}\nlisteners:\n"
                       f"  - {{proto: influx, transport: udp, address: 127.0.0.1:{self.udp}}}\n"
                       f"  - {{proto: graphite, transport: tcp, address: 127.0.0.1:{self.tcp}}}\n")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)


def test_doctor_names_addresses_that_others_have():
    with Place() as place:
        code, found, _ = doctor("--config", place.config)
        assert found["ports"]["state"] == "ok", found["ports"]
        assert code == 0, found
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, \
                socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, \
                socket.socket(socket.AF_INET, socket.SOCK_STREAM) as http:
            udp.bind(("127.0.0.1", place.udp))
            tcp.bind(("127.0.0.1", place.tcp))
            tcp.listen()
            http.bind(("127.0.0.1", place.http))
            http.listen()
            code, found, _ = doctor("--config", place.config)
        assert code == 1 and found["ports"]["state"] == "fail", found["ports"]
        for word in (f"udp 127.0.0.1:{place.udp}", f"tcp 127.0.0.1:{place.tcp}",
                     f"http 127.0.0.1:{place.http}", "Address already in use"):
            assert word in found["ports"]["found"], found["ports"]


def test_doctor_does_not_take_an_instance_of_ours_for_another_program():
    with Instance() as weir:
        code, found, _ = doctor("--config", os.path.join(weir.data, "run", "weir.yaml"))
        assert found["ports"]["state"] == "ok", found["ports"]
        assert "an instance runs on" in found["ports"]["found"], found["ports"]


def test_doctor_names_the_file_system_and_how_long_a_sync_takes():
    with Place() as place:
        found = doctor("--config", place.config)[1]
        name = subprocess.run(["findmnt", "-nro", "FSTYPE", "-T", place.folder],
                              capture_output=True, text=True).stdout.split()
        assert not name or f" {name[-1]}" in found["data"]["found"], (name, found["data"])
        assert place.folder in found["data_sync"]["found"], found["data_sync"]
        assert " ms (median of " in found["data_sync"]["found"], found["data_sync"]
        assert sorted(os.listdir(place.folder)) == ["weir.yaml"]  # nothing is left behind


def test_doctor_knows_swap_and_whether_the_clock_is_set():
    found = doctor("--data", SCRATCH)[1]
    with open("/proc/swaps") as file:
        swaps = len(file.read().splitlines()) > 1
    assert (found["swap"]["state"] == "ok") != swaps, found["swap"]
    assert "synchronised" in found["clock_sync"]["found"], found["clock_sync"]


def test_doctor_says_why_each_address_cannot_be_had():
    with Place() as place:
        with open(place.config) as file:
            text = file.read()
        with open(place.config, "w") as file:  # an address of documentation is no machine's
            file.write(text.replace(f"127.0.0.1:{place.udp}", f"203.0.113.77:{place.udp}"))
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            tcp.bind(("127.0.0.1", place.tcp))
            tcp.listen()
            found = doctor("--config", place.config)[1]["ports"]["found"]
    assert found == (f"udp 203.0.113.77:{place.udp}: Cannot assign requested address; "
                     f"tcp 127.0.0.1:{place.tcp}: Address already in use"), found


def test_doctor_judges_the_plan_and_the_room_of_the_configuration():
    with Place() as place:
        assert doctor("--config", place.config)[1]["plan"]["state"] == "ok"
        with open(place.config, "a") as file:
            file.write("series:\n  max: 2000000000\nlog:\n  size_max: 1024TiB\n")
        found = doctor("--config", place.config)[1]
        assert found["plan"]["state"] == "warn" and "memory" in found["plan"]["found"], found["plan"]
        assert found["data"]["state"] == "warn", found["data"]


def test_doctor_counts_the_space_that_the_log_has_already():
    with Place() as place:
        log = os.path.join(place.folder, "data", "log")
        os.makedirs(log)
        with open(os.path.join(log, "segment"), "wb") as file:
            os.posix_fallocate(file.fileno(), 0, 512 << 20)
        with open(place.config) as file:
            text = file.read()
        for _ in range(20):  # others may fill the device meanwhile
            room = os.statvfs(log)
            size = room.f_bavail * room.f_frsize // (1 << 20) + 256  # MiB, more than is free
            with open(place.config, "w") as file:
                file.write(f"{text}log:\n  size_max: {size}MiB\n")
            found = doctor("--config", place.config)[1]["data"]
            if found["state"] == "ok" or "O_DIRECT works" not in found["found"] or \
                    "in memory" in found["found"]:
                return
        raise AssertionError(found)


def test_doctor_refuses_a_bad_configuration():
    with Place() as place:
        with open(place.config, "a") as file:
            file.write("log:\n  size_max: 1\nlog_level: loud\n")
        code, found, said = doctor("--config", place.config)
        assert code == 2 and not found, (code, found)
        assert f"{place.config}:7: log.size_max: " in said, said
        assert f"{place.config}:8: log_level: " in said, said


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
