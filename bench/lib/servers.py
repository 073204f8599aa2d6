"""S3 servers that are measured: ours, MinIO, Ceph's radosgw. Each in a folder of its own, on 127.0.0.1 and any free port."""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid

from . import peers, tools
from .tools import BenchError

READY_S = 120
PR_SET_CHILD_SUBREAPER = 36
ACCESS, SECRET = "benchaccess", "benchsecretbenchsecret"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def resident_kib(pid, what="VmRSS"):
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith(f"{what}:"):
                return int(line.split()[1])
    raise BenchError(f"no {what} of process {pid}")


def cpu_seconds(pid):
    """Of all threads of a process."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Server:
    """start() and stop() may be called in turn; `endpoint` is HOST:PORT, `env` has the key."""

    name = ""
    sync = ""

    def __init__(self, folder):
        self.folder = folder
        self.processes = []
        self.endpoint = ""
        self.env = {}
        os.makedirs(folder)

    def spawn(self, command, **more):
        log = open(os.path.join(self.folder, f"{os.path.basename(str(command[0]))}.log"), "ab")
        with log:
            child = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, **more)
        self.processes.append(child)
        return child

    def wait(self, ready, what):
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            if any(p.poll() is not None for p in self.processes):
                raise BenchError(f"{what} has ended: {self.said()}")
            if ready():
                return
            time.sleep(0.05)
        raise BenchError(f"{what} is not ready within {READY_S} s: {self.said()}")

    def said(self):
        """The last line of a log."""
        lines = []
        for name in sorted(os.listdir(self.folder)):
            if name.endswith(".log"):
                with open(os.path.join(self.folder, name), errors="replace") as f:
                    lines += [line.strip() for line in f if line.strip()][-1:]
        return "; ".join(lines)[:tools.REASON_MAX_CHARS]

    def answers(self):
        try:
            urllib.request.urlopen(f"http://{self.endpoint}/", timeout=2).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def stop(self):
        for p in reversed(self.processes):
            p.send_signal(signal.SIGTERM)
        for p in reversed(self.processes):
            try:
                p.wait(20)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        self.processes = []


class Ours(Server):
    name = "cloudskin"
    sync = "its default: fdatasync of the data and of the log that names it, many small objects with one"

    def __init__(self, folder, sync=True, prefix=(), options=()):
        """prefix: a command that runs the one behind it where the server is to be."""
        super().__init__(folder)
        self.socket = os.path.join(folder, "socket")
        self.state = os.path.join(folder, "state")
        self.prefix = prefix
        self.options = [*options, *([] if sync else ["--no-sync"])]

    def start(self):
        """Returns seconds until it serves. The store in the background becomes a child: its time is not that of others."""
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise BenchError(f"prctl: {os.strerror(ctypes.get_errno())}")
        began = time.monotonic()
        self.endpoint = f"127.0.0.1:{free_port()}"
        env = dict(os.environ, CLOUDSKIN_CONTROLLER=f"unix:{self.socket}")
        tools.run([*self.prefix, tools.program("cloudskin"), "up", "-d", "--s3", self.endpoint, "--state", self.state,
                   *self.options], env=env)
        took = time.monotonic() - began
        with open(os.path.join(self.state, "s3-keys")) as f:
            access, secret = f.readline().split()[:2]
        self.env = dict(env, AWS_ACCESS_KEY_ID=access, AWS_SECRET_ACCESS_KEY=secret)
        return took

    def cloudskin(self, *arguments):
        return tools.run([tools.program("cloudskin"), *arguments], env=self.env).stdout

    def status(self):
        return json.loads(self.cloudskin("stat", "--json"))

    def pid(self):
        return self.status()["process"]

    def kill(self):
        """As a crash would; returns when all of the process is gone."""
        pid = self.pid()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def stop(self):
        if self.env:
            pid = self.pid()
            self.cloudskin("down")
            os.waitpid(pid, 0)

    def version(self):
        return self.status()["version"]


class Minio(Server):
    name = "MinIO"
    sync = "its default, as strace shows: fdatasync of the data, O_DSYNC or fdatasync of the metadata, and a rename that is not synced"

    def start(self):
        self.endpoint = f"127.0.0.1:{free_port()}"
        self.env = dict(os.environ, AWS_ACCESS_KEY_ID=ACCESS, AWS_SECRET_ACCESS_KEY=SECRET)
        env = dict(os.environ, MINIO_ROOT_USER=ACCESS, MINIO_ROOT_PASSWORD=SECRET, MINIO_BROWSER="off", HOME=self.folder)
        self.spawn([peers.minio(), "server", "--quiet", "--address", self.endpoint,
                    os.path.join(self.folder, "data")], env=env)
        self.wait(self.healthy, "MinIO")

    def kill(self):
        self.processes[0].kill()
        self.processes[0].wait()
        self.processes = []

    def healthy(self):
        """It answers before it serves, with 503."""
        try:
            urllib.request.urlopen(f"http://{self.endpoint}/", timeout=2).close()
        except urllib.error.HTTPError as e:
            return e.code == 403
        except OSError:
            return False
        return True

    def pid(self):
        return self.processes[0].pid

    def version(self):
        return peers.MINIO_VERSION


CEPH_CONF = """[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon2},v1:127.0.0.1:{mon1}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
keyring = {folder}/$type.$id.keyring
mon data = {folder}/mon
mgr data = {folder}/mgr
osd data = {folder}/osd
rgw data = {folder}/rgw
run dir = {folder}
admin socket = {folder}/$type.$id.asok
log file = {folder}/$name.log
mon cluster log file = {folder}/cluster.log
crash dir = {folder}/crash
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
mon data avail warn = 1
mon warn on pool no redundancy = false
auth allow insecure global id reclaim = false
bluestore block size = {bytes}
"""


class Radosgw(Server):
    """With a monitor, a manager and one OSD whose block device is a file."""

    name = "radosgw"
    sync = "bluestore's default: an answer comes after data and log are flushed to the file that stands for its disk"
    block_bytes = 24 << 30

    def __init__(self, folder):
        super().__init__(folder)
        self.conf = os.path.join(folder, "ceph.conf")

    def ceph(self, *arguments):
        return tools.run(["ceph", "-c", self.conf, "-n", "client.admin", "--connect-timeout", "30", *arguments]).stdout

    def keyring(self, name, *caps):
        path = os.path.join(self.folder, f"{name}.keyring")
        command = ["ceph-authtool", path, "--create-keyring", "--gen-key", "-n", name]
        for where, what in zip(caps[::2], caps[1::2]):
            command += ["--cap", where, what]
        tools.run(command)
        return path

    def start_monitor(self):
        ports = free_port(), free_port()
        fsid = str(uuid.uuid4())
        with open(self.conf, "w") as f:
            f.write(CEPH_CONF.format(fsid=fsid, mon1=ports[0], mon2=ports[1], folder=self.folder, bytes=self.block_bytes))
        for name in ("mon", "mgr", "osd", "rgw", "crash"):
            os.makedirs(os.path.join(self.folder, name))
        everything = ("mon", "allow *", "osd", "allow *", "mgr", "allow *")
        admin = self.keyring("client.admin", *everything)
        monitor = self.keyring("mon.", "mon", "allow *")
        tools.run(["ceph-authtool", monitor, "--import-keyring", admin])
        monmap = os.path.join(self.folder, "monmap")
        tools.run(["monmaptool", "--create", "--addv", "a", f"[v2:127.0.0.1:{ports[1]},v1:127.0.0.1:{ports[0]}]", "--fsid",
                   fsid, monmap])
        tools.run(["ceph-mon", "-c", self.conf, "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", monitor])
        self.spawn(["ceph-mon", "-f", "-c", self.conf, "-i", "a"])

    def register(self, name, *caps):
        with open(os.path.join(self.folder, f"{name}.keyring"), "w") as f:
            f.write(self.ceph("auth", "get-or-create", name, *caps))

    def start(self):
        peers.ceph()
        self.start_monitor()
        self.register("mgr.x", "mon", "allow profile mgr", "osd", "allow *")
        self.spawn(["ceph-mgr", "-f", "-c", self.conf, "-i", "x"])
        osd = str(uuid.uuid4())
        self.ceph("osd", "new", osd, "0")
        self.register("osd.0", "mon", "allow profile osd", "mgr", "allow profile osd", "osd", "allow *")
        shutil.copy(os.path.join(self.folder, "osd.0.keyring"), os.path.join(self.folder, "osd", "keyring"))
        tools.run(["ceph-osd", "-c", self.conf, "-i", "0", "--mkfs", "--osd-uuid", osd])
        self.spawn(["ceph-osd", "-f", "-c", self.conf, "-i", "0"])
        self.register("client.rgw", "mon", "allow rw", "osd", "allow rwx")
        self.endpoint = f"127.0.0.1:{free_port()}"
        self.spawn(["radosgw", "-f", "-c", self.conf, "-n", "client.rgw", "--rgw-frontends",
                    f"beast endpoint={self.endpoint} tcp_nodelay=1"])
        self.wait(self.answers, "radosgw")
        tools.run(["radosgw-admin", "-c", self.conf, "-n", "client.admin", "user", "create", "--uid", "bench",
                   "--display-name", "bench", "--access-key", ACCESS, "--secret-key", SECRET])
        self.env = dict(os.environ, AWS_ACCESS_KEY_ID=ACCESS, AWS_SECRET_ACCESS_KEY=SECRET)

    def version(self):
        return peers.versions_of_ceph()
