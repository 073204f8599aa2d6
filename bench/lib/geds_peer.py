"""Reading a large object from another machine: two network namespaces, TLS, against what iperf3 gets over the same path."""

import contextlib
import json
import os
import signal
import subprocess
import time

from . import micro, network, peers, servers, stats, store, tools
from .tools import BenchError

OBJECT_BYTES = 1 << 30
LIMIT = "2gbit"
BAR = 0.90
PORT, IPERF_PORT = 7700, 5201
KEY = "object"
BUCKETS = {"plain": "plain", "encrypted": "encrypted"}
WAYS = {"iperf3": "iperf3", "api": "`geds_pread`", "get": "`cloudskin get`, to /dev/null",
        "api_encrypted": "`geds_pread`, encrypted at rest", "get_encrypted": "`cloudskin get`, encrypted at rest"}


def _terminated(*_):
    raise SystemExit(143)


@contextlib.contextmanager
def tidy():
    """SIGTERM ends a row as Ctrl-C does: what was started is stopped."""
    former = signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


class Iperf:
    """A server of it where the store is; run() has it send as many bytes as the object has."""

    def __init__(self, net, folder):
        self.net = net
        with open(os.path.join(folder, "iperf3.log"), "wb") as log:
            self.server = subprocess.Popen([*net.here, peers.iperf3(), "-s", "-B", network.HERE, "-p", str(IPERF_PORT)],
                                           stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def run(self):
        said = json.loads(tools.run([*self.net.there, peers.iperf3(), "-c", network.HERE, "-p", IPERF_PORT, "-R", "-J", "-n",
                                     OBJECT_BYTES, "--connect-timeout", 5000]).stdout)
        return said["end"]["sum_received"]["bits_per_second"]

    def stop(self):
        self.server.terminate()
        self.server.wait()


class Far:
    """The store in one namespace, and how a client in the other one gets at it."""

    def __init__(self, net, folder):
        self.net = net
        self.server = servers.Ours(os.path.join(folder, "store"), prefix=net.here,
                                   options=["--metrics", "none", "--listen", f"{network.HERE}:{PORT}"])
        ca = os.path.join(self.server.state, "tls")
        cloudskin = tools.program("cloudskin")
        os.mkdir(self.server.state, 0o700)
        tools.run([cloudskin, "ca", "init", "--dir", ca, "--host", network.HERE])
        tools.run([cloudskin, "ca", "issue", "reader", "--dir", ca, "--role", "read", "-o", folder])
        self.env = dict(os.environ, CLOUDSKIN_CONTROLLER=f"tls://{network.HERE}:{PORT}", XDG_STATE_HOME=folder,
                        CLOUDSKIN_CA=os.path.join(ca, "ca.crt"), CLOUDSKIN_CERT=os.path.join(folder, "reader.crt"),
                        CLOUDSKIN_KEY=os.path.join(folder, "reader.key"))
        for name in ("CLOUDSKIN_TOKEN", "CLOUDSKIN_TOKEN_FILE"):
            self.env.pop(name, None)

    def fill(self, folder):
        file = os.path.join(folder, "bytes")
        with open(file, "wb") as f:
            for _ in range(OBJECT_BYTES >> 20):
                f.write(os.urandom(1 << 20))
        for bucket in BUCKETS.values():
            self.server.cloudskin("mb", f"geds://{bucket}")
        self.server.cloudskin("tier", "--encrypt", "on", f"geds://{BUCKETS['encrypted']}")
        for bucket in BUCKETS.values():
            self.server.cloudskin("put", file, f"geds://{bucket}/{KEY}")
        os.remove(file)

    def api(self, bucket):
        run = store.load([*self.net.there, micro.embedder("geds"), "read", bucket, KEY], self.env)
        if run["bytes"] != OBJECT_BYTES:
            raise BenchError("the object is shorter than it was")
        return OBJECT_BYTES * 8 / run["ns"] * 1e9

    def get(self, bucket):
        began = time.monotonic()
        tools.run([*self.net.there, tools.program("cloudskin"), "get", "-q", f"geds://{bucket}/{KEY}", "/dev/null"], env=self.env)
        return OBJECT_BYTES * 8 / (time.monotonic() - began)


def in_turn(ways, args):
    """way -> bits a second of each round."""
    rates = {name: [] for name in ways}
    for number in range(args.pairs):
        for name in ways if number % 2 == 0 else reversed(ways):
            rates[name].append(ways[name]())
    return rates


def shares(rates):
    """way -> median of what it got of iperf3's bandwidth in the same round."""
    return {name: stats.pair_ratio(found, rates["iperf3"]) for name, found in rates.items()}


def row_geds_peer(args):
    """A 1 GiB object over TLS, with a limit of the path and without."""
    if args.no_peers:
        raise BenchError("it is about another program (--no-peers)")
    micro.embedder("geds")
    found = {}
    with tidy(), store.scratch() as folder, network.Network() as net, contextlib.ExitStack() as running:
        iperf = Iperf(net, folder)
        running.callback(iperf.stop)
        far = Far(net, folder)
        far.server.start()
        running.callback(far.server.stop)
        far.fill(folder)
        ways = {"iperf3": iperf.run, "api": lambda: far.api("plain"), "get": lambda: far.get("plain"),
                "api_encrypted": lambda: far.api("encrypted"), "get_encrypted": lambda: far.get("encrypted")}
        for name in BUCKETS:
            far.api(name)  # from the disk
        for limit in (LIMIT, None):
            net.limit(limit)
            rates = in_turn(ways, args)
            of = shares(rates)
            found[limit or "unlimited"] = {"rates": rates, "shares": of}
            print(f"{limit or 'no limit'}:")
            print(stats.table(["", "Gbit/s", "of iperf3"], [[name, f"{stats.median(r) / 1e9:.3f}", f"{of[name]:.1%}"]
                                                          for name, r in rates.items()]), flush=True)
    of = found[LIMIT]["shares"]
    return {"title": "Reading from another machine", "pairs": args.pairs, "bytes": OBJECT_BYTES, "limit": LIMIT, "found": found,
            "peer_versions": peers.versions_of(["iperf3"]),
            "bars": [stats.bar(f"{WAYS[name]}: >= {BAR:.0%} of iperf3's bandwidth at {LIMIT}", f"{of[name]:.1%}",
                               of[name] >= BAR) for name in ("api", "get")]}
