"""A store is up in this environment; each test has a bucket of its own. A line for each test, as in the scripts."""

import itertools
import os
import shutil
import subprocess
import tempfile

import pytest

import cloudskin

_numbers = itertools.count()


def pytest_runtest_logreport(report):
    if report.when == "call" or (report.when == "setup" and not report.passed):
        name = report.nodeid.replace("::", ": ", 1)
        print(f"\n{'ok  ' if report.passed else 'FAIL'} {name}", flush=True)


@pytest.fixture(scope="session")
def store():
    with cloudskin.connect() as s:
        yield s


@pytest.fixture
def bucket(store):
    name = f"py-{os.getpid()}-{next(_numbers)}"
    store.create_bucket(name)
    yield name
    store.delete_many(name, [e.key for e in store.list(name)])
    store.delete_bucket(name)


class OwnStore:
    """Another one, to be ended and started again."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="cloudskin-py.")  # short, since a socket's path is
        self.address = f"unix:{self.folder}/socket"
        self.up()

    def cloudskin(self, *arguments):
        env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
        env["CLOUDSKIN_CONTROLLER"] = self.address
        subprocess.run(["cloudskin", *arguments], env=env, check=True, timeout=60, stdout=subprocess.DEVNULL)

    def up(self, *options):
        self.cloudskin("up", "-d", "--s3", "127.0.0.1:0", "--state", f"{self.folder}/state", *options)

    def down(self):
        self.cloudskin("down")


@pytest.fixture
def own():
    o = OwnStore()
    yield o
    try:
        o.down()
    except subprocess.CalledProcessError:
        pass  # the test has
    shutil.rmtree(o.folder)


@pytest.fixture
def tiered(own):
    """A store with another one behind it."""
    with cloudskin.connect(own.address) as s:
        s.create_bucket("behind")
        endpoint = f"http://{s.status().s3}"
    keys = next(line for line in open(f"{own.folder}/state/s3-keys"))
    o = OwnStore()
    o.down()
    credentials = f"{o.folder}/credentials"
    with open(os.open(credentials, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write(" ".join(keys.split()[:2]) + "\n")
    o.up("--tier", "s3://behind/x", "--tier-endpoint", endpoint, "--tier-credentials", credentials)
    yield o
    o.down()
    shutil.rmtree(o.folder)
