"""What facts about an S3 server are made of: a list of them, clients, and what they are compared with."""

import argparse
import sys
import traceback

import boto3
import botocore
import botocore.config
import botocore.exceptions
from raw import Raw

facts = []


def fact(f):
    facts.append(f)
    return f


def code_of(f, *args, **kw):
    """The error code that a call ends with, and its status."""
    try:
        f(*args, **kw)
    except botocore.exceptions.ClientError as e:
        return e.response["Error"]["Code"], e.response["ResponseMetadata"]["HTTPStatusCode"]
    return None, 200


def raw_code(answer):
    status, _, body = answer
    text = body.decode()
    return status, text.partition("<Code>")[2].partition("</Code>")[0]


def equal(a, b):
    assert a == b, f"{a!r:.300} is not {b!r:.300}"


class Bench:
    def __init__(self, options):
        self.endpoint, self.access, self.secret = options.endpoint, options.access, options.secret
        self.s3 = self.client()
        self.alice_keys = options.alice.split(":")
        self.alice = self.client(*self.alice_keys)
        self.nobody = boto3.client("s3", endpoint_url=self.endpoint, region_name="us-east-1", config=botocore.config.Config(
            s3={"addressing_style": "path"}, retries={"max_attempts": 1}, signature_version=botocore.UNSIGNED))
        self.raw = Raw(options.endpoint.split("//")[1], options.access, options.secret)

    def client(self, access=None, secret=None, version="s3v4"):
        config = botocore.config.Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1},
                                        max_pool_connections=32, signature_version=version)
        return boto3.client("s3", endpoint_url=self.endpoint, region_name="us-east-1", config=config,
                            aws_access_key_id=access or self.access, aws_secret_access_key=secret or self.secret)

    def fresh(self, name):
        self.s3.create_bucket(Bucket=name)
        return name

    def read(self, bucket, key, **kw):
        return self.s3.get_object(Bucket=bucket, Key=key, **kw)["Body"].read()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--endpoint", required=True)
    p.add_argument("--access", required=True)
    p.add_argument("--secret", required=True)
    p.add_argument("--alice", required=True, help="ACCESS:SECRET of another user")
    p.add_argument("only", nargs="*")
    options = p.parse_args()
    bench, failed = Bench(options), 0
    chosen = [f for f in facts if not options.only or f.__name__ in options.only]
    for f in chosen:
        try:
            f(bench)
            print("ok  ", f.__name__.replace("_", " "))
        except Exception:  # whatever it is, the fact does not hold
            failed += 1
            print("FAIL", f.__name__.replace("_", " "))
            traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return failed > 0

