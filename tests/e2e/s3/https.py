"""Facts about boto3 over https: ENDPOINT ACCESS_KEY SECRET CA. Nothing is set but what its users set."""

import os
import ssl
import sys
import traceback
import urllib.error
import urllib.request

import boto3
import botocore
import botocore.config
import botocore.exceptions
from boto3.s3.transfer import TransferConfig

LARGE = (17 << 20) + 5  # more than two of boto3's parts of 8 MiB

facts = []


def fact(f):
    facts.append(f)
    return f


def equal(a, b):
    assert a == b, f"{a!r:.300} is not {b!r:.300}"


class Bench:
    def __init__(self, endpoint, access, secret, ca):
        self.endpoint, self.access, self.secret, self.ca = endpoint, access, secret, ca
        self.s3 = self.client(ca)

    def client(self, verify, **config):
        config = botocore.config.Config(retries={"max_attempts": 1}, **config)
        return boto3.client("s3", endpoint_url=self.endpoint, region_name="us-east-1", verify=verify, config=config,
                            aws_access_key_id=self.access, aws_secret_access_key=self.secret)

    def read(self, key):
        return self.s3.get_object(Bucket="secure", Key=key)["Body"].read()


@fact
def boto3_puts_and_gets(b):
    b.s3.create_bucket(Bucket="secure")
    for size in (0, 1, 100000, 6 << 20):
        body = os.urandom(size)
        b.s3.put_object(Bucket="secure", Key="a/put", Body=body)
        equal(b.read("a/put"), body)
        equal(b.s3.head_object(Bucket="secure", Key="a/put")["ContentLength"], size)
    equal(b.s3.get_object(Bucket="secure", Key="a/put", Range="bytes=5-9")["Body"].read(), body[5:10])


@fact
def boto3_carries_each_checksum_in_a_trailer(b):
    for name in ("CRC32", "SHA1", "SHA256"):
        b.s3.put_object(Bucket="secure", Key=name, Body=b"checked" * 1000, ChecksumAlgorithm=name)
        got = b.s3.get_object(Bucket="secure", Key=name, ChecksumMode="ENABLED")
        equal(got["Body"].read(), b"checked" * 1000)
        assert got[f"Checksum{name}"], name


@fact
def boto3_uploads_in_parts(b):
    body = os.urandom(LARGE)
    with open("boto3.large", "wb") as f:
        f.write(body)
    b.s3.upload_file("boto3.large", "secure", "large", Config=TransferConfig(max_concurrency=4))
    equal(b.s3.head_object(Bucket="secure", Key="large")["ETag"].strip('"').split("-")[1], "3")
    b.s3.download_file("secure", "large", "boto3.back", Config=TransferConfig(max_concurrency=4))
    with open("boto3.back", "rb") as f:
        equal(f.read() == body, True)
    upload = b.s3.create_multipart_upload(Bucket="secure", Key="by-hand")["UploadId"]
    parts = []
    for n in range(1, 4):
        part = b.s3.upload_part(Bucket="secure", Key="by-hand", UploadId=upload, PartNumber=n, Body=body[:6 << 20])
        parts.append({"PartNumber": n, "ETag": part["ETag"]})
    done = b.s3.complete_multipart_upload(Bucket="secure", Key="by-hand", UploadId=upload, MultipartUpload={"Parts": parts})
    equal(b.read("by-hand") == 3 * body[:6 << 20], True)
    equal(done["Location"], f"{b.endpoint}/secure/by-hand")


@fact
def boto3_lists_with_pages_and_folders(b):
    for i in range(25):
        b.s3.put_object(Bucket="secure", Key=f"l/{i % 5}/{i}", Body=b"x")
    pages = b.s3.get_paginator("list_objects_v2").paginate(Bucket="secure", Prefix="l/", PaginationConfig={"PageSize": 7})
    equal(sorted(o["Key"] for p in pages for o in p["Contents"]), sorted(f"l/{i % 5}/{i}" for i in range(25)))
    got = b.s3.list_objects_v2(Bucket="secure", Prefix="l/", Delimiter="/")
    equal([p["Prefix"] for p in got["CommonPrefixes"]], [f"l/{i}/" for i in range(5)])
    equal("secure" in [x["Name"] for x in b.s3.list_buckets()["Buckets"]], True)


@fact
def presigned_urls_are_https(b):
    trusted = ssl.create_default_context(cafile=b.ca)
    s3 = b.client(b.ca, signature_version="s3v4")  # else boto3 signs URLs by version 2, and all else by version 4
    url = s3.generate_presigned_url("put_object", {"Bucket": "secure", "Key": "by url"}, 600)
    assert url.startswith("https://"), url
    put = urllib.request.Request(url, method="PUT", data=b"by url", headers={"Content-Type": ""})
    equal(urllib.request.urlopen(put, context=trusted, timeout=30).status, 200)
    url = s3.generate_presigned_url("get_object", {"Bucket": "secure", "Key": "by url"}, 600)
    equal(urllib.request.urlopen(url, context=trusted, timeout=30).read(), b"by url")
    try:
        urllib.request.urlopen(url.replace("by%20url", "by%20another"), context=trusted, timeout=30)
        raise AssertionError("a changed URL was taken")
    except urllib.error.HTTPError as e:
        equal(e.code, 403)
    try:
        urllib.request.urlopen(url, timeout=30)
        raise AssertionError("the server was believed without its CA")
    except urllib.error.URLError as e:
        assert isinstance(e.reason, ssl.SSLCertVerificationError), e


@fact
def policies_know_that_it_is_secure(b):
    """The usual one: nothing without TLS."""
    b.s3.put_bucket_policy(Bucket="secure", Policy="""{"Version": "2012-10-17", "Statement": [
        {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::secure/*",
         "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::secure/by url",
         "Condition": {"Bool": {"aws:SecureTransport": "true"}}}]}""")
    equal(b.read("by url"), b"by url")
    nobody = b.client(b.ca, signature_version=botocore.UNSIGNED)
    equal(nobody.get_object(Bucket="secure", Key="by url")["Body"].read(), b"by url")
    b.s3.delete_bucket_policy(Bucket="secure")


@fact
def boto3_deletes(b):
    b.s3.delete_object(Bucket="secure", Key="a/put")
    keys = [o["Key"] for p in b.s3.get_paginator("list_objects_v2").paginate(Bucket="secure") for o in p["Contents"]]
    equal("a/put" in keys, False)
    gone = b.s3.delete_objects(Bucket="secure", Delete={"Objects": [{"Key": k} for k in keys]})
    equal((len(gone["Deleted"]), gone.get("Errors", [])), (len(keys), []))
    b.s3.delete_bucket(Bucket="secure")


@fact
def without_the_ca_boto3_refuses_the_server(b):
    for verify in (None, True):  # as it comes, and said
        try:
            b.client(verify).list_buckets()
            raise AssertionError("the server was believed")
        except botocore.exceptions.SSLError as e:
            assert "certificate verify failed" in str(e), e


def main():
    bench, failed = Bench(*sys.argv[1:]), 0
    for f in facts:
        try:
            f(bench)
            print("ok  ", f.__name__.replace("_", " "))
        except Exception:  # whatever it is, the fact does not hold
            failed += 1
            print("FAIL", f.__name__.replace("_", " "))
            traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
    print(f"{len(facts) - failed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
