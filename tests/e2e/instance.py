"""A running appliance for end-to-end tests, and the few things one does with it.

Everything goes to loopback, to ports that were free just before the start.
"""
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

BIN = os.environ.get("WEIR_BIN", os.path.join(os.path.dirname(__file__), "../../build"))
NIGHTLY = os.environ.get("WEIR_NIGHTLY") == "1"
SCRATCH = os.environ.get("WEIR_SCRATCH") or tempfile.gettempdir()
# Seconds until a wait is given up. No test asserts a time: this is for what would never come, and a
# machine that is slow, or stands still for a while, is to have enough of it.
PATIENCE = 120


next_port = random.randrange(12000, 30000)


def free_port(kind=socket.SOCK_STREAM):
    """A port below the kernel's ephemeral ones, never handed out twice in a row."""
    global next_port
    while True:
        next_port = next_port + 1 if next_port < 31000 else 12000
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", next_port))
                return next_port
            except OSError:
                continue


def wait_for(condition, what):
    """Polls until condition() is true and returns that; fails with `what` if it never is."""
    end = time.monotonic() + PATIENCE
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {PATIENCE} s: {what}")
        time.sleep(0.01)


def bits(value):
    return struct.pack("<d", value)


def number(value):
    """A point's value as JSON carries it: a number, or a string where it is not finite."""
    return float(value) if isinstance(value, str) else float(value)


class Instance:
    def __init__(self, *options, data=None, binaries=None, user=None):
        self.binaries = binaries or BIN
        self.made = data is None
        self.data = data or tempfile.mkdtemp(prefix="weir-e2e-", dir=SCRATCH)
        self.http = free_port()
        self.influx_udp = free_port(socket.SOCK_DGRAM)
        self.influx_tcp = free_port()
        self.graphite_tcp = free_port()
        self.options = list(options)
        self.user = user
        self.process = None
        self.log_path = self.data.rstrip("/") + ".log"

    def command(self):
        return [os.path.join(self.binaries, "weir"), "run", "--data", self.data,
                "--http", f"127.0.0.1:{self.http}",
                "--influx-udp", f"127.0.0.1:{self.influx_udp}",
                "--influx-tcp", f"127.0.0.1:{self.influx_tcp}",
                "--graphite-tcp", f"127.0.0.1:{self.graphite_tcp}",
                *([] if "--port" in self.options else ["--port", "none"]), *self.options,
                *os.environ.get("WEIR_OPTIONS", "").split()]

    def start(self, wait=True):
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(self.command(), stdout=log, stderr=log,
                                        stdin=subprocess.DEVNULL, user=self.user,
                                        start_new_session=True)
        log.close()
        if wait:
            self.wait_open()
        return self

    def wait_open(self):
        def is_open():
            if self.process.poll() is not None:
                raise AssertionError(f"weir ended with {self.process.returncode}: {self.log()}")
            try:
                return self.get("/healthz", timeout=10)[0] == 200
            except (OSError, http.client.HTTPException):
                return False
        try:
            wait_for(is_open, "healthz answers 200")
        except AssertionError as error:
            raise AssertionError(f"{error}; log: {self.log()[-2000:]}") from None

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def pid(self, name):
        try:
            with open(os.path.join(self.data, "run", name + ".pid")) as file:
                return int(file.read())
        except (FileNotFoundError, ValueError):
            return None

    def kill(self, name, number=signal.SIGKILL):
        pid = self.pid(name)
        if pid:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        return pid

    def replace(self, name):
        """Kills a child and waits until another is in its place and Weir is open."""
        killed = self.kill(name)
        # the dead one's last word stands until the supervisor has noticed
        wait_for(lambda: self.pid(name) not in (None, killed), f"{name} is started again")
        self.wait_open()
        return killed

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                raise AssertionError(f"weir did not stop: {self.log()[-3000:]}")
        return self.process.returncode if self.process else None

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                self.stop()
        finally:
            if self.process:
                for name in ("dataplane", "controlplane", "keeper"):
                    self.kill(name, signal.SIGCONT)  # one that a test stopped could not end
                try:
                    os.killpg(self.process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                self.process.wait()
            if self.made and kind is None:
                shutil.rmtree(self.data, ignore_errors=True)
                if os.path.exists(self.log_path):
                    os.unlink(self.log_path)
            elif kind is not None:
                print(f"# data kept in {self.data}, log in {self.log_path}")

    # HTTP
    def get(self, path, timeout=PATIENCE, **parameters):
        url = f"http://127.0.0.1:{self.http}{path}"
        if parameters:
            url += "?" + urllib.parse.urlencode(parameters, doseq=True)
        try:
            with urllib.request.urlopen(url, timeout=timeout) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def query(self, metric, **parameters):
        parameters = {k.rstrip("_"): v for k, v in parameters.items()}
        status, body = self.get("/api/v1/metrics/query", metric=metric, **parameters)
        assert status == 200, (status, body)
        return json.loads(body)

    def raw(self, metric, start, end, **labels):
        """All samples as {labels as sorted tuple: [(seconds, value)]}."""
        answer = self.query(metric, agg="raw", from_=f"{start}", to=f"{end}", **labels)
        return {tuple(sorted(s["labels"].items())): [(t, number(v)) for t, v in s["points"]]
                for s in answer["series"]}

    def metrics(self):
        """/metrics as {name{labels}: value}."""
        status, body = self.get("/metrics")
        assert status == 200, (status, body)
        values = {}
        for line in body.decode().splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                values[name] = float(value)
        return values

    def ledger(self):
        """{(unit, class): total over reasons}, and the residuals by unit."""
        values = self.metrics()
        sums = {}
        for name, value in values.items():
            if not name.startswith(("weir_ledger_total{", "weir_ledger_in_flight{")):
                continue
            labels = dict(re.findall(r'(\w+)="([^"]*)"', name))
            key = (labels["unit"], labels.get("class", "in_flight"))
            sums[key] = sums.get(key, 0) + value
        residual = {u: values[f'weir_ledger_residual{{unit="{u}"}}']
                    for u in ("packets", "records", "samples")}
        return sums, residual

    def reason(self, unit, kind, reason):
        return sum(v for k, v in self.metrics().items()
                   if k.startswith("weir_ledger_total{") and f'unit="{unit}"' in k
                   and f'class="{kind}"' in k and f'reason="{reason}"' in k)

    # senders
    def send_udp(self, payload):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(payload, ("127.0.0.1", self.influx_udp))

    def send_tcp(self, payload, port=None, timeout=PATIENCE):
        """Sends, half-closes, returns the answer line (b"" where the connection broke)."""
        with socket.create_connection(("127.0.0.1", port or self.influx_tcp), timeout) as sender:
            sender.sendall(payload)
            sender.shutdown(socket.SHUT_WR)
            answer = b""
            while True:
                piece = sender.recv(4096)
                if not piece:
                    return answer
                answer += piece


def parse_ok(answer):
    """ok ACCEPTED REJECTED OFFSET -> (accepted, rejected, offset), or None."""
    match = re.fullmatch(rb"ok (\d+) (\d+) (\d+)\n", answer)
    return tuple(int(g) for g in match.groups()) if match else None
