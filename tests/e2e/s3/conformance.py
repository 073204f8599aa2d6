"""What independent suites and clients other than those of check.py expect of an S3 server: facts about one at --endpoint."""

import base64
import datetime
import hashlib
import hmac
import json
import sys

from bench import code_of, equal, fact, main, raw_code


# Buckets

@fact
def names_that_no_host_can_have_are_no_buckets(b):
    for path in ("/a..b", "/a.-b", "/a-.b", "/192.168.5.123"):
        equal(raw_code(b.raw.send("PUT", path)), (400, "InvalidBucketName"))
    for name in ("a.b-c.d", "192.168.5", "1.2.3.4.5", "192.168.5.256x"):
        b.s3.delete_bucket(Bucket=b.fresh(name))


@fact
def buckets_have_tags(b):
    at = {"Bucket": b.fresh("bucket-tags")}
    tags = [{"Key": f"k{i}/é", "Value": f"v {i}"} for i in range(50)]
    equal(code_of(b.s3.get_bucket_tagging, **at), ("NoSuchTagSet", 404))
    equal(b.s3.put_bucket_tagging(**at, Tagging={"TagSet": tags})["ResponseMetadata"]["HTTPStatusCode"], 204)
    equal(b.s3.get_bucket_tagging(**at)["TagSet"], tags)
    for wrong in (tags + [{"Key": "one more", "Value": ""}], [{"Key": "k", "Value": ""}] * 2, [{"Key": "k" * 129, "Value": ""}]):
        equal(code_of(b.s3.put_bucket_tagging, **at, Tagging={"TagSet": wrong}), ("InvalidTag", 400))
    equal(b.s3.get_bucket_tagging(**at)["TagSet"], tags)
    equal(code_of(b.alice.get_bucket_tagging, **at), ("AccessDenied", 403))
    b.s3.delete_bucket_tagging(**at)
    equal(code_of(b.s3.get_bucket_tagging, **at), ("NoSuchTagSet", 404))
    equal(code_of(b.s3.get_bucket_tagging, Bucket="not-here"), ("NoSuchBucket", 404))


# Uploads

@fact
def the_sum_of_parts_may_come_without_their_count(b):
    """As minio's clients send it."""
    at = {"Bucket": b.fresh("composite"), "Key": "k"}
    def upload(change):
        id = b.s3.create_multipart_upload(**at, ChecksumAlgorithm="SHA256")["UploadId"]
        part = b.s3.upload_part(**at, UploadId=id, PartNumber=1, Body=b"part", ChecksumAlgorithm="SHA256")
        whole = base64.b64encode(hashlib.sha256(hashlib.sha256(b"part").digest()).digest()).decode()
        return b.s3.complete_multipart_upload(**at, UploadId=id, ChecksumSHA256=change(whole), MultipartUpload={"Parts": [
            {"PartNumber": 1, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]}]})["ChecksumSHA256"]
    want = upload(lambda s: s)
    equal(want[-2:], "-1")
    equal(upload(lambda s: s + "-1"), want)
    for change in (lambda s: s + "-2", lambda s: s + "-", lambda s: s[1:], lambda s: "A" + s[1:]):
        equal(code_of(upload, change), ("BadDigest", 400))


# Forms

def form(b, bucket, fields, body=b"by form"):
    parts = [f'--x-y\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()]
    text = b"".join(parts) + b'--x-y\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n' + body + b"\r\n--x-y--\r\n"
    headers = {"host": b.raw.host, "content-type": "multipart/form-data; boundary=x-y"}
    return b.raw.plain("POST", "/" + bucket, headers, text)


def signed_form(b, policy, fields, access=None, secret=None):
    text = base64.b64encode(json.dumps(policy).encode()).decode()
    made = hmac.new((secret or b.secret).encode(), text.encode(), hashlib.sha1).digest()
    return fields | {"AWSAccessKeyId": access or b.access, "policy": text, "signature": base64.b64encode(made).decode()}


@fact
def forms_may_be_signed_by_version_2(b):
    """As boto3 makes them as long as nobody tells it otherwise."""
    b.fresh("old-forms")
    until = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    policy = {"expiration": until, "conditions": [{"bucket": "old-forms"}, ["starts-with", "$key", "u/"]]}
    good = signed_form(b, policy, {"key": "u/k"})
    equal(form(b, "old-forms", good)[0], 204)
    equal(b.read("old-forms", "u/k"), b"by form")
    made = b.client(version=None).generate_presigned_post("old-forms", "u/boto3")["fields"]
    equal("AWSAccessKeyId" in made, True)
    equal(form(b, "old-forms", made)[0], 204)
    equal(raw_code(form(b, "old-forms", good | {"key": "other"})), (403, "AccessDenied"))
    equal(raw_code(form(b, "old-forms", good | {"x": "1"})), (403, "AccessDenied"))
    equal(raw_code(form(b, "old-forms", good | {"policy": good["policy"][:-8] + "AAAAAAA="})), (403, "SignatureDoesNotMatch"))
    equal(raw_code(form(b, "old-forms", good | {"signature": base64.b64encode(b"x" * 20).decode()})), (403, "SignatureDoesNotMatch"))
    for wrong in ("", "x", good["signature"] + "AAAA", "A" * 1000):
        equal(form(b, "old-forms", good | {"signature": wrong})[0] in (400, 403), True)
    equal(raw_code(form(b, "old-forms", good | {"AWSAccessKeyId": "nobody"})), (403, "InvalidAccessKeyId"))
    for name in ("signature", "AWSAccessKeyId"):
        equal(raw_code(form(b, "old-forms", {k: v for k, v in good.items() if k != name})), (400, "InvalidArgument"))
    equal(raw_code(form(b, "old-forms", signed_form(b, policy, {"key": "u/k"}, *b.alice_keys))), (403, "AccessDenied"))


if __name__ == "__main__":
    sys.exit(main())
