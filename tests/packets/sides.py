"""sides.py - two namespaces and a veth for each of the two worlds, the kernel's and lane's, with a program in one of them"""
import ctypes
import os
import signal
import subprocess
import sys
import time

from ending import ignore_signals

HERE = os.path.dirname(os.path.abspath(__file__))
libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
TAG = "lane-" + os.environ.get("LANE_TAG", str(os.getpid()))


def ip(ns, *words):
    subprocess.run(["ip", "-n", ns, *words], check=True)


class Enter:
    """Within this block the thread is in network namespace 'ns'."""

    def __init__(self, ns):
        self.ns = ns

    def __enter__(self):
        self.old = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        new = os.open(f"/run/netns/{self.ns}", os.O_RDONLY)
        if libc.setns(new, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(new)

    def __exit__(self, *exc):
        libc.setns(self.old, CLONE_NEWNET)
        os.close(self.old)


class Side:
    """The two namespaces of one world, and its server; gone when the block ends."""

    def __init__(self, letter, tmp, command):
        self.s, self.c = f"{TAG}-{letter}s", f"{TAG}-{letter}c"
        self.if_s, self.if_c = f"{TAG}-s"[:15], f"{TAG}-c"[:15]
        self.log, self.out = f"{tmp}/{letter}.log", f"{tmp}/{letter}.out"
        self.command, self.name = command, "kernel" if letter == "k" else "lane"

    def __enter__(self):
        for ns in self.s, self.c:
            if os.path.exists(f"/run/netns/{ns}"):
                sys.exit(f"there is a namespace {ns} already: remove it, or set another LANE_TAG")
        try:
            self.net()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def net(self):
        for ns in self.s, self.c:
            subprocess.run(["ip", "netns", "add", ns], check=True)
        ip(self.c, "link", "set", "lo", "up")
        ip(self.s, "link", "set", "lo", "up")
        with open(os.devnull, "wb") as null:
            self.in_ns(self.c, ["sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6"], check=True)
            ip(self.s, "link", "add", self.if_s, "address", "02:77:00:00:00:01", "type", "veth", "peer", "name",
               self.if_c, "address", "02:77:00:00:00:02", "netns", self.c)
            # Whole frames with checksums of their own, as on a wire.
            for ns, dev in (self.s, self.if_s), (self.c, self.if_c):
                self.in_ns(ns, ["ethtool", "-K", dev, "tx", "off", "tso", "off", "gso", "off", "gro", "off"],
                           stdout=null, stderr=null)
        for a, more in ("10.77.0.1/24", ()), ("fd77::1/64", ("nodad",)):
            ip(self.s, "addr", "add", a, "dev", self.if_s, *more)
        ip(self.c, "link", "set", self.if_c, "up")
        ip(self.s, "link", "set", self.if_s, "up")
        for a in "10.77.0.2", "fd77::2":
            ip(self.s, "neigh", "add", a, "lladdr", "02:77:00:00:00:02", "dev", self.if_s, "nud", "permanent")
            ip(self.s, "route", "add", "default", "via", a, "dev", self.if_s, "congctl", "cubic")

    def in_ns(self, ns, cmd, **kw):
        return subprocess.run(["nsenter", f"--net=/run/netns/{ns}", *cmd], stdin=subprocess.DEVNULL, **kw)

    def start(self):
        cmd = [w.replace("IF", self.if_s) for w in self.command]
        with open(self.out, "wb") as out:
            self.child = subprocess.Popen(["nsenter", f"--net=/run/netns/{self.s}", *cmd, sys.executable,
                                           f"{HERE}/server.py", self.log], stdin=subprocess.DEVNULL, stdout=out,
                                          stderr=out)
        for _ in range(200):
            if os.path.exists(self.log) and "ready" in open(self.log).readline():
                return
            if self.child.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit(f"the server did not start on {self.name}: {open(self.out).read()}")

    def pids(self):
        text = subprocess.run(["ip", "netns", "pids", self.s], stdout=subprocess.PIPE, text=True, check=False).stdout
        return [int(w) for w in text.split()]

    def __exit__(self, *exc):
        ignore_signals()
        for sig, tenths in (signal.SIGTERM, 20), (signal.SIGKILL, 20):
            for pid in self.pids():
                try:
                    os.kill(pid, sig)
                except ProcessLookupError:
                    pass
            if hasattr(self, "child"):
                self.child.poll()
            while self.pids() and tenths:
                time.sleep(0.1)
                tenths -= 1
        for ns in self.s, self.c:
            subprocess.run(["ip", "netns", "del", ns], check=False)
