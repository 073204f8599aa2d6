"""Two network namespaces with a cable between them, which nothing outside can reach.

Each is held by a process that ends when the bench does, however that ends; the cable goes with the last process in them."""

import os
import subprocess

from . import tools
from .tools import BenchError

HERE, THERE = "192.0.2.1", "192.0.2.2"  # the sender's address and the other one's: TEST-NET-1
# A bucket of 1 MiB lets the rate be exact though packets come in bursts; the queue behind it is 20 ms long.
BURST_BYTES, QUEUE_MS = 1 << 20, 20


class Network:
    def __init__(self):
        self.holders = []

    def _hold(self, inside):
        """Make a namespace; it is gone when its standard input ends."""
        user = [] if inside or os.geteuid() == 0 else ["--user", "--map-root-user"]
        command = [*inside, tools.host_program("unshare"), *user, "--net", "sh", "-c", "echo ready && exec cat >/dev/null"]
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.holders.append(holder)
        if holder.stdout.readline() != "ready\n":
            holder.wait()
            raise BenchError(tools.complaint(command, holder.returncode, holder.stderr.read()))

    def _prefix(self, number):
        """The command that runs the one behind it in a namespace."""
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return [tools.host_program("nsenter"), "--target", str(self.holders[number].pid), *user, "--net", "--"]

    def __enter__(self):
        try:
            self._hold([])
            self._hold([] if os.geteuid() == 0 else self._prefix(0)[:-1])
            self.here, self.there = self._prefix(0), self._prefix(1)
            tools.run([*self.here, "ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns",
                       self.holders[1].pid])
            for prefix, address in ((self.here, HERE), (self.there, THERE)):
                tools.run([*prefix, "ip", "address", "add", f"{address}/24", "dev", "cable"])
                for name in ("lo", "cable"):
                    tools.run([*prefix, "ip", "link", "set", name, "up"])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for holder in reversed(self.holders):
            holder.stdin.close()
            holder.wait()
            holder.stdout.close()
            holder.stderr.close()

    def limit(self, rate):
        """What `here` may send: as tc says it, such as 2gbit; None: all it can."""
        if rate is None:
            tools.run([*self.here, "tc", "qdisc", "del", "dev", "cable", "root"])
        else:
            tools.run([*self.here, "tc", "qdisc", "replace", "dev", "cable", "root", "tbf", "rate", rate, "burst",
                       BURST_BYTES, "latency", f"{QUEUE_MS}ms"])
