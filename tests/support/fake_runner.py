"""A runner that does what the label of its job tells it, and keeps a record that nobody else can forge.

    fake_runner.py --configPath logs/<job_id>/job.json --out logs/<job_id>

The label: "fake: sleep=2 until=WORD steps=10 exit=70 signal=9 hang=1 spin=1 flood_mb=1000 fork=200 leak_mb=500
limit_mb=200 cgroup=FOLDER ignore_term=1 term_s=0.5 url=http://... port=7070 quiet=1 fail_attempts=1". `until` waits for
logs/go.WORD, which the test makes when it has seen what it wanted to; limit_mb bounds the memory of what leaks; cgroup
moves it into a control group that is there; a quiet one writes no file of its own. The bad end (exit, signal, hang,
leak_mb) comes in the first `fail_attempts` attempts only, where that is given. Its own failure leaves failure.json.

Record: logs/runs.txt, one O_APPEND write a line, so that lines of many processes never mix:

    start <job_id> <attempt> <pid> <boottime_ns> <nonce>
    end <job_id> <attempt> <pid> <boottime_ns> <nonce> <code, or minus the signal>
    overlap <job_id> <attempt> <pid> <boottime_ns> <nonce>

"overlap" is proof that two attempts of a job were alive at once: a process of another one still held logs/<job_id>/
alone.lock. It is inherited by what the runner forks. Standard library only: it starts as fast as Python does.
"""

import fcntl
import json
import os
import resource
import signal
import socket
import sys
import time

MIB = 2**20
FAULTS = ("exit", "signal", "hang", "leak_mb")


class Stopped(Exception):
    """SIGTERM came."""


def main() -> None:
    arguments = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
    out = arguments["--out"]
    with open(arguments["--configPath"], encoding="utf-8") as stream:  # noqa: PTH123
        job = json.load(stream)
    run = Run(out, str(found(job, "job_id") or os.path.basename(out)), orders_of(str(found(job, "dataset") or "")))  # noqa: PTH119
    sys.exit(run.go())


def found(value: object, key: str) -> object:
    """The first value under that key, at whatever depth: the envelope of a job may be flat or nested."""
    if not isinstance(value, dict):
        return None
    if key in value:
        return value[key]
    return next((answer for inner in value.values() if (answer := found(inner, key)) is not None), None)


def orders_of(label: str) -> dict[str, str]:
    if not label.startswith("fake:"):
        return {}
    return dict(word.partition("=")[::2] for word in label.removeprefix("fake:").split())


class Run:
    def __init__(self, out: str, job_id: str, orders: dict[str, str]):
        self.out, self.job_id, self.orders = out, job_id, orders
        self.nonce = os.environ.get("ADAPTIVE_NERF_NONCE", "-")
        self.attempt = attempt_of(out, self.nonce)
        self.faulty = self.attempt <= int(orders.get("fail_attempts", 10**9))
        self.begun_s = time.monotonic()

    def go(self) -> int:
        if self.orders.get("ignore_term"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        else:
            signal.signal(signal.SIGTERM, stop)
        self.stand_alone()
        self.record("start")
        try:
            code = self.work()
        except Stopped:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(float(self.orders.get("term_s", 0)))
            self.write("checkpoint.txt", f"attempt {self.attempt}\n")
            code = 75
        self.record("end", str(code))
        if code < 0:
            signal.signal(-code, signal.SIG_DFL)
            os.kill(os.getpid(), -code)
        return code

    def stand_alone(self) -> None:
        lock = os.open(f"{self.out}/alone.lock", os.O_RDWR | os.O_CREAT, 0o644)  # open for as long as we live
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.record("overlap")

    def work(self) -> int:
        print(f"attempt {self.attempt} of {self.job_id}", flush=True)  # noqa: T201
        if "port" in self.orders:
            taken = take_port(int(self.orders["port"]))
            if taken is None:
                return self.fail(69, f"port {self.orders['port']} is taken")
        for _ in range(int(self.orders.get("fork", 0))):
            detach()
        for _ in range(int(self.orders.get("flood_mb", 0))):
            os.write(1, (b"x" * 1023 + b"\n") * 1024)
        self.pass_time()
        return self.bad_end() if self.faulty and self.orders.keys() & set(FAULTS) else self.good_end()

    def pass_time(self) -> None:
        steps, sleep_s = int(self.orders.get("steps", 1)), float(self.orders.get("sleep", 0))
        while "until" in self.orders and not os.path.exists(f"{self.out}/../go.{self.orders['until']}"):  # noqa: PTH110
            time.sleep(0.01)
        for step in range(1, steps + 1):
            until_s = self.begun_s + sleep_s * step / steps
            while (left_s := until_s - time.monotonic()) > 0:
                if not self.orders.get("spin"):
                    time.sleep(left_s)
            if "steps" in self.orders or "url" in self.orders:
                self.write("progress.json", json.dumps({
                    "v": 1, "attempt": self.attempt, "step": step, "of": steps, "eta_s": sleep_s * (1 - step / steps),
                    "metrics": {"psnr": 20 + step / steps}, "warnings": [], "url": self.orders.get("url")}))

    def bad_end(self) -> int:
        if "leak_mb" in self.orders:
            return self.leak(int(self.orders["leak_mb"]))
        if "hang" in self.orders:
            while True:
                signal.pause()
        if "signal" in self.orders:
            return -int(self.orders["signal"])
        code = int(self.orders["exit"])
        return self.fail(code, f"told to end with {code}") if code else self.good_end()

    def good_end(self) -> int:
        self.write("result.json", json.dumps({"v": 1, "artifacts": ["log.txt"], "metrics": {"psnr": 21.0}}))
        return 0

    def leak(self, most_mib: int) -> int:
        if "limit_mb" in self.orders:
            resource.setrlimit(resource.RLIMIT_AS, (int(self.orders["limit_mb"]) * MIB,) * 2)
        if "cgroup" in self.orders:
            with open(f"{self.orders['cgroup']}/cgroup.procs", "w", encoding="ascii") as stream:  # noqa: PTH123
                stream.write(str(os.getpid()))
        hoard = []
        try:
            for _ in range(most_mib):
                hoard.append(bytearray(b"\1") * MIB)  # touched, so it is really there
        except MemoryError:
            hoard.clear()
            return self.fail(76, "out of memory")
        return self.fail(70, f"{most_mib} MiB were leaked and nobody objected")

    def fail(self, code: int, cause: str) -> int:
        self.write("failure.json", json.dumps({"v": 1, "cause": cause, "hint": "tell the fake runner something else"}))
        return code

    def write(self, name: str, text: str) -> None:
        if self.orders.get("quiet"):
            return
        temporary = f"{self.out}/.{name}.{os.getpid()}.tmp"
        with open(temporary, "w", encoding="utf-8") as stream:  # noqa: PTH123
            stream.write(text)
        os.replace(temporary, f"{self.out}/{name}")  # noqa: PTH105

    def record(self, word: str, *more: str) -> None:
        line = " ".join((word, self.job_id, str(self.attempt), str(os.getpid()),
                         str(time.clock_gettime_ns(time.CLOCK_BOOTTIME)), self.nonce, *more))
        records = os.open(f"{self.out}/../runs.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(records, f"{line}\n".encode())
        os.close(records)


def attempt_of(out: str, nonce: str) -> int:
    """The attempt whose order bears our nonce, newest first; 0 when we were started by hand."""
    folder = f"{out}/attempts"
    numbers = sorted((int(name) for name in os.listdir(folder) if name.isdecimal()), reverse=True) \
        if os.path.isdir(folder) else []  # noqa: PTH112, PTH208
    for number in numbers:
        try:
            with open(f"{folder}/{number}/order.json", encoding="utf-8") as stream:  # noqa: PTH123
                if json.load(stream).get("nonce") == nonce:
                    return number
        except FileNotFoundError:
            continue
    return 0


def take_port(port: int) -> socket.socket | None:
    listener = socket.socket()
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        return None
    listener.listen()
    return listener


def detach() -> None:
    """A grandchild in a session of its own, deaf to polite signals, that nobody waits for."""
    if os.fork():
        os.wait()
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(3600)


def stop(*_: object) -> None:
    raise Stopped


if __name__ == "__main__":
    main()
