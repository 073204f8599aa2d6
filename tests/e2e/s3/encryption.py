"""Encryption at rest through S3, by boto3: what is asked for, what is answered, what is refused."""

import hashlib
import os
import sys

import boto3
from botocore.client import Config
from botocore.exceptions import ClientError

s3 = boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1",
                  config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}))
SSE = "ServerSideEncryption"
MARKER = b"the-plaintext-marker "


def code_of(call, **arguments):
    try:
        call(**arguments)
    except ClientError as e:
        return e.response["Error"]["Code"]
    return "nothing"


def bytes_of(size):
    return (MARKER * (size // len(MARKER) + 1))[:size]


s3.create_bucket(Bucket="sse")
s3.create_bucket(Bucket="plain")

# What a request asks for
for key, size in (("small", 100), ("middle", 70000), ("large", 3 << 20)):
    data = bytes_of(size)
    assert s3.put_object(Bucket="plain", Key=key, Body=data, ServerSideEncryption="AES256")[SSE] == "AES256"
    assert s3.head_object(Bucket="plain", Key=key)[SSE] == "AES256"
    got = s3.get_object(Bucket="plain", Key=key)
    assert got[SSE] == "AES256" and got["Body"].read() == data
    assert got["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
    part = s3.get_object(Bucket="plain", Key=key, Range="bytes=50-90")["Body"].read()
    assert part == data[50:91]
assert s3.put_object(Bucket="plain", Key="empty", Body=b"", ServerSideEncryption="AES256")[SSE] == "AES256"
assert SSE not in s3.put_object(Bucket="plain", Key="open", Body=b"nothing to hide")
assert SSE not in s3.head_object(Bucket="plain", Key="open")

# What is not there
put = {"Bucket": "plain", "Key": "no", "Body": b"x"}
assert code_of(s3.put_object, **put, ServerSideEncryption="aws:kms") == "NotImplemented"
assert code_of(s3.put_object, **put, ServerSideEncryption="AES128") == "InvalidArgument"
key = os.urandom(32)
assert code_of(s3.put_object, **put, SSECustomerAlgorithm="AES256", SSECustomerKey=key) == "NotImplemented"
assert code_of(s3.get_object, Bucket="plain", Key="open", SSECustomerAlgorithm="AES256",
               SSECustomerKey=key) == "NotImplemented"
assert code_of(s3.head_object, Bucket="plain", Key="no") == "404"

# The rule of a bucket
assert code_of(s3.get_bucket_encryption, Bucket="sse") == "ServerSideEncryptionConfigurationNotFoundError"


def rule(algorithm):
    return {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm}}]}


assert code_of(s3.put_bucket_encryption, Bucket="sse",
               ServerSideEncryptionConfiguration=rule("aws:kms")) == "NotImplemented"
assert code_of(s3.put_bucket_encryption, Bucket="not-there",
               ServerSideEncryptionConfiguration=rule("AES256")) == "NoSuchBucket"
s3.put_bucket_encryption(Bucket="sse", ServerSideEncryptionConfiguration=rule("AES256"))
got = s3.get_bucket_encryption(Bucket="sse")["ServerSideEncryptionConfiguration"]["Rules"][0]
assert got["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
assert s3.put_object(Bucket="sse", Key="k", Body=bytes_of(200000))[SSE] == "AES256"

# Uploads in parts
big = bytes_of(6 << 20)
for bucket, asked in (("sse", {}), ("plain", {SSE: "AES256"})):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", **asked)
    assert upload[SSE] == "AES256"
    names = {"Bucket": bucket, "Key": "parts", "UploadId": upload["UploadId"]}
    parts = []
    answer = s3.upload_part(**names, PartNumber=1, Body=big)
    assert answer[SSE] == "AES256"
    parts.append({"PartNumber": 1, "ETag": answer["ETag"]})
    answer = s3.upload_part_copy(**names, PartNumber=2, CopySource="plain/open")
    parts.append({"PartNumber": 2, "ETag": answer["CopyPartResult"]["ETag"]})
    done = s3.complete_multipart_upload(**names, MultipartUpload={"Parts": parts})
    assert done[SSE] == "AES256"
    got = s3.get_object(Bucket=bucket, Key="parts")
    assert got[SSE] == "AES256" and got["Body"].read() == big + b"nothing to hide"

# Copies: into a bucket with the rule, because the request asks, and onto itself
s3.put_object(Bucket="plain", Key="source", Body=bytes_of(150000))
for bucket, key, asked in (("sse", "copied", {}), ("plain", "copied", {SSE: "AES256"}), ("plain", "source", {SSE: "AES256"})):
    s3.put_object(Bucket="plain", Key="source", Body=bytes_of(150000))
    etag = s3.head_object(Bucket="plain", Key="source")["ETag"]
    answer = s3.copy_object(Bucket=bucket, Key=key, CopySource="plain/source", **asked)
    assert answer[SSE] == "AES256" and answer["CopyObjectResult"]["ETag"] == etag
    got = s3.get_object(Bucket=bucket, Key=key)
    assert got[SSE] == "AES256" and got["Body"].read() == bytes_of(150000)
assert SSE not in s3.put_object(Bucket="plain", Key="source", Body=b"again")

s3.delete_bucket_encryption(Bucket="sse")
assert code_of(s3.get_bucket_encryption, Bucket="sse") == "ServerSideEncryptionConfigurationNotFoundError"
assert SSE not in s3.put_object(Bucket="sse", Key="later", Body=b"later")
assert s3.head_object(Bucket="sse", Key="k")[SSE] == "AES256"
print("good")
