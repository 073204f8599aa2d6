"""What S3 clients may count on: facts about a server at --endpoint, with boto3 and with requests by hand."""

import base64
import datetime
import hashlib
import http.client
import io
import json
import sys
import urllib.request
import zlib
from concurrent.futures import ThreadPoolExecutor

from bench import code_of, equal, fact, main, raw_code
from raw import EMPTY, plain_chunks, signed_chunks


def crc(data, polynomial, bits):
    x = mask = (1 << bits) - 1
    for byte in data:
        x ^= byte
        for _ in range(8):
            x = x >> 1 ^ (polynomial if x & 1 else 0)
    return base64.b64encode((x ^ mask).to_bytes(bits // 8, "big")).decode()


def crc32(data):
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


# Buckets

@fact
def buckets_are_made_listed_and_deleted(b):
    b.fresh("life-cycle")
    equal("life-cycle" in [x["Name"] for x in b.s3.list_buckets()["Buckets"]], True)
    b.s3.head_bucket(Bucket="life-cycle")
    equal(b.s3.get_bucket_location(Bucket="life-cycle")["LocationConstraint"], None)
    equal(code_of(b.s3.create_bucket, Bucket="life-cycle"), ("BucketAlreadyOwnedByYou", 409))
    b.s3.put_object(Bucket="life-cycle", Key="x", Body=b"")
    equal(code_of(b.s3.delete_bucket, Bucket="life-cycle"), ("BucketNotEmpty", 409))
    b.s3.delete_object(Bucket="life-cycle", Key="x")
    b.s3.delete_bucket(Bucket="life-cycle")
    equal(code_of(b.s3.head_bucket, Bucket="life-cycle"), ("404", 404))
    equal(code_of(b.s3.delete_bucket, Bucket="life-cycle"), ("NoSuchBucket", 404))


@fact
def a_bucket_without_a_valid_name_is_refused(b):
    for path in ("/Upper_Case", "/no", "/-a-b", "/" + "x" * 64, "/a.b./key"):
        equal(raw_code(b.raw.send("PUT", path)), (400, "InvalidBucketName"))


@fact
def a_bucket_that_is_not_there_is_told_from_a_key_that_is_not(b):
    b.fresh("here")
    equal(code_of(b.s3.get_object, Bucket="here", Key="k"), ("NoSuchKey", 404))
    equal(code_of(b.s3.get_object, Bucket="not-here", Key="k"), ("NoSuchBucket", 404))
    equal(code_of(b.s3.list_objects_v2, Bucket="not-here"), ("NoSuchBucket", 404))
    equal(code_of(b.s3.put_object, Bucket="not-here", Key="k", Body=b"x" * 100), ("NoSuchBucket", 404))


# Objects

@fact
def an_object_comes_back_with_what_was_said_about_it(b):
    b.fresh("objects")
    body = b"hello world\n" * 1000
    put = b.s3.put_object(Bucket="objects", Key="a/b.txt", Body=body, ContentType="text/plain", CacheControl="no-store",
                          ContentDisposition="attachment", ContentLanguage="eu", ContentEncoding="identity",
                          Metadata={"Colour": "red", "empty": ""})
    equal(put["ETag"], f'"{hashlib.md5(body).hexdigest()}"')
    got = b.s3.get_object(Bucket="objects", Key="a/b.txt")
    equal(got["Body"].read(), body)
    head = b.s3.head_object(Bucket="objects", Key="a/b.txt")
    for answer in (got, head):
        equal(answer["ContentLength"], len(body))
        equal(answer["ETag"], put["ETag"])
        equal(answer["ContentType"], "text/plain")
        equal(answer["CacheControl"], "no-store")
        equal(answer["ContentDisposition"], "attachment")
        equal(answer["ContentLanguage"], "eu")
        equal(answer["ContentEncoding"], "identity")
        equal(answer["Metadata"], {"colour": "red", "empty": ""})
        equal(abs((answer["LastModified"] - datetime.datetime.now(datetime.timezone.utc)).total_seconds()) < 60, True)
    equal(b.s3.get_object(Bucket="objects", Key="a/b.txt", ResponseContentType="a/b")["ContentType"], "a/b")


@fact
def metadata_has_names_and_limits(b):
    b.fresh("metadata")
    for headers, want in (({"x-amz-meta-a(b": "1"}, "InvalidArgument"), ({"x-amz-meta-": "1"}, "InvalidArgument"),
                          ({"x-amz-meta-a": "x" * 2048}, "MetadataTooLarge"), ({"x-amz-meta-a": "x" * 2047}, "")):
        equal(raw_code(b.raw.send("PUT", "/metadata/k", headers=headers, body=b"1"))[1], want)


@fact
def sizes_from_nothing_to_many_blocks_come_back(b):
    b.fresh("sizes")
    for size in (0, 1, 16383, 16384, 16385, 65536, 65537, 3 << 20, (9 << 20) + 7):
        body = bytes(i * 7 & 255 for i in range(251)) * (size // 251 + 1)
        body = body[:size]
        b.s3.put_object(Bucket="sizes", Key=str(size), Body=body)
        equal(hashlib.md5(b.read("sizes", str(size))).hexdigest(), hashlib.md5(body).hexdigest())


@fact
def ranges_are_parts_of_it(b):
    b.fresh("ranges")
    body = bytes(range(256)) * 4096
    b.s3.put_object(Bucket="ranges", Key="k", Body=body)
    for text, want in (("bytes=0-0", body[:1]), ("bytes=10-99999", body[10:100000]), ("bytes=1048570-", body[1048570:]),
                       ("bytes=-5", body[-5:]), ("bytes=5-99999999", body[5:]), ("bytes=-99999999", body)):
        got = b.s3.get_object(Bucket="ranges", Key="k", Range=text)
        equal(got["Body"].read(), want)
        equal(got["ResponseMetadata"]["HTTPStatusCode"], 206)
    equal(b.s3.get_object(Bucket="ranges", Key="k", Range="bytes=2-3")["ContentRange"], f"bytes 2-3/{len(body)}")
    equal(code_of(b.s3.get_object, Bucket="ranges", Key="k", Range=f"bytes={len(body)}-"), ("InvalidRange", 416))
    equal(b.read("ranges", "k", Range="lines=1-2"), body)


@fact
def reading_on_conditions(b):
    b.fresh("conditions")
    etag = b.s3.put_object(Bucket="conditions", Key="k", Body=b"x")["ETag"]
    at = {"Bucket": "conditions", "Key": "k"}
    now = datetime.datetime.now(datetime.timezone.utc)
    past, future = now - datetime.timedelta(days=1), now + datetime.timedelta(days=1)
    equal(code_of(b.s3.get_object, **at, IfMatch=etag), (None, 200))
    equal(code_of(b.s3.get_object, **at, IfMatch='"other", ' + etag), (None, 200))
    equal(code_of(b.s3.get_object, **at, IfMatch='"other"'), ("PreconditionFailed", 412))
    equal(code_of(b.s3.get_object, **at, IfNoneMatch=etag)[1], 304)
    equal(code_of(b.s3.get_object, **at, IfNoneMatch='"other"'), (None, 200))
    equal(code_of(b.s3.get_object, **at, IfModifiedSince=future)[1], 304)
    equal(code_of(b.s3.get_object, **at, IfModifiedSince=past), (None, 200))
    equal(code_of(b.s3.get_object, **at, IfUnmodifiedSince=past)[1], 412)
    equal(code_of(b.s3.head_object, **at, IfUnmodifiedSince=future), (None, 200))
    equal(code_of(b.s3.get_object, **at, IfMatch=etag, IfUnmodifiedSince=past), (None, 200))


@fact
def writing_on_conditions(b):
    b.fresh("create")
    at = {"Bucket": "create", "Key": "k"}
    etag = b.s3.put_object(**at, Body=b"one", IfNoneMatch="*")["ETag"]
    equal(code_of(b.s3.put_object, **at, Body=b"two", IfNoneMatch="*"), ("PreconditionFailed", 412))
    equal(code_of(b.s3.put_object, **at, Body=b"two", IfMatch='"00"'), ("PreconditionFailed", 412))
    equal(b.read("create", "k"), b"one")
    b.s3.put_object(**at, Body=b"two", IfMatch=etag)
    equal(b.read("create", "k"), b"two")
    equal(code_of(b.s3.put_object, Bucket="create", Key="none", Body=b"", IfMatch=etag)[1], 404)
    equal(code_of(b.s3.delete_object, **at, IfMatch=etag), ("PreconditionFailed", 412))


@fact
def one_of_many_conditional_creates_wins(b):
    b.fresh("race")
    def create(i):
        return code_of(b.s3.put_object, Bucket="race", Key="k", Body=str(i).encode(), IfNoneMatch="*")[1]
    with ThreadPoolExecutor(16) as pool:
        equal(sorted(pool.map(create, range(16))), [200] + [412] * 15)


# Checksums

@fact
def checksums_are_compared_kept_and_answered(b):
    b.fresh("sums")
    body = b"checksummed" * 999
    sums = {"CRC32": crc32(body), "CRC32C": crc(body, 0x82f63b78, 32), "CRC64NVME": crc(body, 0x9a6c9329ac4bc9b5, 64),
            "SHA1": base64.b64encode(hashlib.sha1(body).digest()).decode(),
            "SHA256": base64.b64encode(hashlib.sha256(body).digest()).decode()}
    for name, value in sums.items():
        field = "Checksum" + name
        put = b.s3.put_object(Bucket="sums", Key=name, Body=body, **{field: value})
        equal(put[field], value)
        equal(b.s3.head_object(Bucket="sums", Key=name, ChecksumMode="ENABLED")[field], value)
        wrong = base64.b64encode(bytes(len(base64.b64decode(value)))).decode()
        equal(code_of(b.s3.put_object, Bucket="sums", Key="wrong", Body=body, **{field: wrong}), ("BadDigest", 400))
        equal(code_of(b.s3.put_object, Bucket="sums", Key="wrong", Body=body, **{field: "AA"})[1], 400)
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    b.s3.put_object(Bucket="sums", Key="md5", Body=body, ContentMD5=md5)
    equal(code_of(b.s3.put_object, Bucket="sums", Key="wrong", Body=body + b"x", ContentMD5=md5), ("BadDigest", 400))
    equal(code_of(b.s3.put_object, Bucket="sums", Key="wrong", Body=body, ContentMD5="x"), ("InvalidDigest", 400))
    equal(code_of(b.s3.head_object, Bucket="sums", Key="wrong")[1], 404)


@fact
def bodies_in_chunks_with_trailing_checksums(b):
    b.fresh("chunks")
    pieces = [b"a" * 65536, b"b" * 65536, b"c" * 100]
    body = b"".join(pieces)
    def put(key, payload, chunks=None, plain=b"", trailer=None):
        headers = {"x-amz-decoded-content-length": str(len(body)), "content-encoding": "aws-chunked"}
        if trailer:
            headers["x-amz-trailer"] = trailer
        return b.raw.send("PUT", f"/chunks/{key}", headers=headers, payload=payload, chunks=chunks, body=plain)
    name = "x-amz-checksum-crc32"
    signed, both, unsigned = ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
                              "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
    equal(put("signed", signed, signed_chunks(pieces))[0], 200)
    equal(put("both", both, signed_chunks(pieces, [(name, crc32(body))]), trailer=name)[0], 200)
    equal(put("plain", unsigned, plain=plain_chunks(pieces, [(name, crc32(body))]), trailer=name)[0], 200)
    for key in ("signed", "both", "plain"):
        got = b.s3.get_object(Bucket="chunks", Key=key)
        equal(got["Body"].read(), body)
        equal(got.get("ContentEncoding"), None)
    equal(b.s3.head_object(Bucket="chunks", Key="plain", ChecksumMode="ENABLED")["ChecksumCRC32"], crc32(body))
    for spoil in (0, 1, 2):
        equal(raw_code(put("bad", signed, signed_chunks(pieces, spoil=spoil))), (403, "SignatureDoesNotMatch"))
    equal(raw_code(put("bad", unsigned, plain=plain_chunks(pieces, [(name, crc32(b"other"))]), trailer=name)),
          (400, "BadDigest"))
    equal(raw_code(put("bad", unsigned, plain=plain_chunks(pieces, []), trailer=name)), (400, "InvalidRequest"))
    equal(raw_code(put("bad", signed, signed_chunks(pieces[:2]))), (400, "IncompleteBody"))
    equal(raw_code(put("bad", signed, signed_chunks([*pieces, b"more"]))), (400, "IncompleteBody"))
    equal(raw_code(put("bad", signed, lambda *_: b"zz\r\n")), (400, "IncompleteBody"))
    equal(raw_code(put("bad", "STREAMING-SOMETHING", plain=b"x")), (501, "NotImplemented"))
    equal(code_of(b.s3.head_object, Bucket="chunks", Key="bad")[1], 404)


# Keys

@fact
def a_key_is_any_text_and_no_path(b):
    b.fresh("keys")
    keys = ["..", "../x", "a/../../b", "./c", "//", "/leading", "trailing/", "a//b", "sp ace", "a+b", "100%", "%2e%2e",
            "&<>\"'", "\u00e9\u00e8/\u65e5\u672c\u8a9e/\U0001f600", "x" * 1024, "\u00e9" * 512, "?query", "#part", "a\tb",
            "new\nline", "\x01\x02", "~-_."]
    for i, key in enumerate(keys):
        equal(b.raw.send("PUT", "/keys/" + key, body=str(i).encode())[0], 200)
    for i, key in enumerate(keys):
        equal(b.raw.send("GET", "/keys/" + key)[2], str(i).encode())
    listed = [x["Key"] for x in b.s3.list_objects_v2(Bucket="keys")["Contents"]]
    equal(listed, sorted(keys, key=lambda k: k.encode()))
    for key in keys:
        equal(b.raw.send("DELETE", "/keys/" + key)[0], 204)
    equal(b.s3.list_objects_v2(Bucket="keys")["KeyCount"], 0)


@fact
def keys_that_cannot_be_are_refused(b):
    b.fresh("bad-keys")
    equal(raw_code(b.raw.send("PUT", "/bad-keys/" + "x" * 1025, body=b"1")), (400, "KeyTooLongError"))
    equal(raw_code(b.raw.send("PUT", "/bad-keys/" + "\u00e9" * 513, body=b"1")), (400, "KeyTooLongError"))
    for target in ("/bad-keys/a%00b", "/bad-keys/%zz", "/bad-keys/%f", "/bad-keys/x?a=%00"):
        equal(raw_code(b.raw.plain("PUT", target, {"host": b.raw.host})), (400, "InvalidURI"))
    equal(b.raw.plain("GET", "/bad-keys/" + "x" * 400000, {"host": b.raw.host})[0] in (414, 431), True)


# Listing

@fact
def lists_go_on_where_they_stopped(b):
    b.fresh("pages")
    keys = sorted(f"{a}/{i:02}" for a in ("a", "b", "c") for i in range(10)) + ["top1", "top2"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: b.s3.put_object(Bucket="pages", Key=k, Body=b"1"), keys))
    for operation in ("list_objects", "list_objects_v2"):
        pages = list(b.s3.get_paginator(operation).paginate(Bucket="pages", PaginationConfig={"PageSize": 7}))
        equal([x["Key"] for p in pages for x in p["Contents"]], keys)
        equal(len(pages), 5)
        pages = list(b.s3.get_paginator(operation).paginate(Bucket="pages", Delimiter="/",
                                                            PaginationConfig={"PageSize": 2}))
        equal([x["Prefix"] for p in pages for x in p.get("CommonPrefixes", [])], ["a/", "b/", "c/"])
        equal([x["Key"] for p in pages for x in p.get("Contents", [])], ["top1", "top2"])
    page = b.s3.list_objects_v2(Bucket="pages", Prefix="b/", StartAfter="b/04", MaxKeys=3, FetchOwner=True)
    equal([x["Key"] for x in page["Contents"]], ["b/05", "b/06", "b/07"])
    equal((page["KeyCount"], page["IsTruncated"], page["Contents"][0]["Size"]), (3, True, 1))
    equal(page["Contents"][0]["ETag"], f'"{hashlib.md5(b"1").hexdigest()}"')
    equal("Owner" in page["Contents"][0], True)
    page = b.s3.list_objects(Bucket="pages", Marker="c/09")
    equal([x["Key"] for x in page["Contents"]], ["top1", "top2"])
    equal(b.s3.list_objects_v2(Bucket="pages", MaxKeys=0)["IsTruncated"], False)
    equal(code_of(b.s3.list_objects_v2, Bucket="pages", ContinuationToken="!"), ("InvalidArgument", 400))
    equal(raw_code(b.raw.send("GET", "/pages", query=[("list-type", "2"), ("max-keys", "-1")])),
          (400, "InvalidArgument"))


# Copies

@fact
def copies_carry_bytes_and_what_is_said(b):
    b.fresh("copies")
    source = {"Bucket": "copies", "Key": "from \u00e9/+x"}
    etag = b.s3.put_object(**source, Body=b"copy me", Metadata={"m": "1"}, ContentType="a/b", Tagging="t=1")["ETag"]
    b.s3.copy_object(Bucket="copies", Key="same", CopySource=source)
    head = b.s3.head_object(Bucket="copies", Key="same")
    equal((head["Metadata"], head["ContentType"], head["ETag"]), ({"m": "1"}, "a/b", etag))
    equal(b.s3.get_object_tagging(Bucket="copies", Key="same")["TagSet"], [{"Key": "t", "Value": "1"}])
    b.s3.copy_object(Bucket="copies", Key="new", CopySource=source, MetadataDirective="REPLACE", Metadata={"n": "2"},
                     ContentType="c/d", TaggingDirective="REPLACE", Tagging="u=2")
    head = b.s3.head_object(Bucket="copies", Key="new")
    equal((head["Metadata"], head["ContentType"]), ({"n": "2"}, "c/d"))
    equal(b.s3.get_object_tagging(Bucket="copies", Key="new")["TagSet"], [{"Key": "u", "Value": "2"}])
    equal(b.read("copies", "new"), b"copy me")
    equal(code_of(b.s3.copy_object, **source, CopySource=source), ("InvalidRequest", 400))
    b.s3.copy_object(**source, CopySource=source, MetadataDirective="REPLACE", Metadata={"n": "3"})
    equal(b.s3.head_object(**source)["Metadata"], {"n": "3"})
    at = {"Bucket": "copies", "Key": "x", "CopySource": source}
    equal(code_of(b.s3.copy_object, **at, CopySourceIfMatch='"0"'), ("PreconditionFailed", 412))
    equal(code_of(b.s3.copy_object, **at, CopySourceIfNoneMatch=etag), ("PreconditionFailed", 412))
    equal(code_of(b.s3.copy_object, **at, CopySourceIfMatch=etag), (None, 200))
    equal(code_of(b.s3.copy_object, Bucket="copies", Key="x", CopySource="copies/none"), ("NoSuchKey", 404))
    equal(code_of(b.s3.copy_object, Bucket="copies", Key="x", CopySource="no-bucket/none"), ("NoSuchBucket", 404))
    equal(raw_code(b.raw.send("PUT", "/copies/x", headers={"x-amz-copy-source": "copies"})), (400, "InvalidArgument"))


# Batch delete

@fact
def many_are_deleted_at_once(b):
    b.fresh("batch")
    keys = [f"k{i:04}" for i in range(100)] + ["a&b<c>", "\u00e9"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: b.s3.put_object(Bucket="batch", Key=k, Body=b""), keys))
    answer = b.s3.delete_objects(Bucket="batch", Delete={"Objects": [{"Key": k} for k in [*keys[:99], "none"]]})
    equal(len(answer["Deleted"]), 100)
    answer = b.s3.delete_objects(Bucket="batch", Delete={"Quiet": True, "Objects": [{"Key": k} for k in keys[99:]]})
    equal(answer.get("Deleted", []), [])
    equal(b.s3.list_objects_v2(Bucket="batch")["KeyCount"], 0)
    many = [{"Key": f"{'x' * 1000}{i}"} for i in range(1000)]
    equal(len(b.s3.delete_objects(Bucket="batch", Delete={"Objects": many})["Deleted"]), 1000)
    equal(code_of(b.s3.delete_objects, Bucket="batch", Delete={"Objects": [*many, {"Key": "k"}]})[0], "MalformedXML")


@fact
def documents_that_mean_harm_are_refused(b):
    b.fresh("harm")
    bomb = b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    for body in (bomb + b"<Delete><Object><Key>&b;</Key></Object></Delete>", b"<Delete>" * 5000, b"<Delete/", b"", b"<a/>",
                 b'<!DOCTYPE d SYSTEM "file:///etc/passwd"><Delete/>', b"<Delete><Object><Key>&x;</Key></Object></Delete>",
                 b"<Delete><Object><Key>k</Key></Object></Deleted>", b"<Delete/>" + b"x",
                 b"<Delete><Object><Key>&#0;</Key></Object></Delete>"):
        equal(raw_code(b.raw.send("POST", "/harm", query=[("delete", "")], body=body)), (400, "MalformedXML"))
    equal(raw_code(b.raw.send("POST", "/harm", query=[("delete", "")], body=b"<a>" + b" " * (5 << 20))),
          (400, "EntityTooLarge"))


# Uploads in parts

@fact
def parts_become_an_object(b):
    b.fresh("parts")
    at = {"Bucket": "parts", "Key": "big"}
    parts = [b"1" * (5 << 20), b"2" * (5 << 20), b"end"]
    made = b.s3.create_multipart_upload(**at, Metadata={"m": "1"}, ContentType="x/y")
    upload = made["UploadId"]
    etags = [b.s3.upload_part(**at, UploadId=upload, PartNumber=n, Body=parts[i])["ETag"]
             for i, n in enumerate((1, 3, 10000))]
    listed = b.s3.list_parts(**at, UploadId=upload, MaxParts=2)
    equal(([p["PartNumber"] for p in listed["Parts"]], listed["IsTruncated"], listed["NextPartNumberMarker"]),
          ([1, 3], True, 3))
    listed = b.s3.list_parts(**at, UploadId=upload, PartNumberMarker=3)
    equal([(p["PartNumber"], p["Size"], p["ETag"]) for p in listed["Parts"]], [(10000, 3, etags[2])])
    equal([u["UploadId"] for u in b.s3.list_multipart_uploads(Bucket="parts")["Uploads"]], [upload])
    equal(code_of(b.s3.head_object, **at)[1], 404)
    ends = [{"PartNumber": n, "ETag": e} for n, e in zip((1, 3, 10000), etags)]
    def complete(parts_given):
        return code_of(b.s3.complete_multipart_upload, **at, UploadId=upload, MultipartUpload={"Parts": parts_given})
    equal(complete(ends[::-1]), ("InvalidPartOrder", 400))
    equal(complete([ends[0], {"PartNumber": 3, "ETag": '"' + "0" * 32 + '"'}]), ("InvalidPart", 400))
    equal(complete([ends[0], {"PartNumber": 5, "ETag": etags[1]}]), ("InvalidPart", 400))
    equal(complete([{"PartNumber": 10000, "ETag": etags[1]}]), ("InvalidPart", 400))
    equal(complete(ends), (None, 200))
    head = b.s3.head_object(**at)
    want = hashlib.md5(b"".join(hashlib.md5(p).digest() for p in parts)).hexdigest() + "-3"
    equal((head["ETag"], head["Metadata"], head["ContentType"]), (f'"{want}"', {"m": "1"}, "x/y"))
    equal(b.read("parts", "big"), b"".join(parts))
    equal(b.read("parts", "big", Range="bytes=5242878-5242881"), b"1122")
    equal(complete(ends), (None, 200))


@fact
def parts_may_be_copies_of_ranges(b):
    b.fresh("part-copies")
    source = bytes(range(256)) * (6 << 12)
    b.s3.put_object(Bucket="part-copies", Key="from", Body=source)
    at = {"Bucket": "part-copies", "Key": "to"}
    upload = b.s3.create_multipart_upload(**at)["UploadId"]
    def copy(number, **kw):
        got = b.s3.upload_part_copy(**at, UploadId=upload, PartNumber=number, CopySource="part-copies/from", **kw)
        return {"PartNumber": number, "ETag": got["CopyPartResult"]["ETag"]}
    ends = [copy(1), copy(2, CopySourceRange="bytes=100-199")]
    b.s3.complete_multipart_upload(**at, UploadId=upload, MultipartUpload={"Parts": ends})
    equal(b.read("part-copies", "to"), source + source[100:200])


@fact
def uploads_are_refused_and_given_up(b):
    b.fresh("aborts")
    at = {"Bucket": "aborts", "Key": "k"}
    upload = b.s3.create_multipart_upload(**at)["UploadId"]
    small = [{"PartNumber": n, "ETag": b.s3.upload_part(**at, UploadId=upload, PartNumber=n, Body=b"x")["ETag"]}
             for n in (1, 2)]
    equal(code_of(b.s3.complete_multipart_upload, **at, UploadId=upload, MultipartUpload={"Parts": small}),
          ("EntityTooSmall", 400))
    equal(code_of(b.s3.upload_part, **at, UploadId=upload, PartNumber=10001, Body=b"x"), ("InvalidArgument", 400))
    equal(code_of(b.s3.upload_part, **at, UploadId=upload, PartNumber=0, Body=b"x"), ("InvalidArgument", 400))
    b.s3.abort_multipart_upload(**at, UploadId=upload)
    for call in (b.s3.abort_multipart_upload, b.s3.list_parts):
        equal(code_of(call, **at, UploadId=upload), ("NoSuchUpload", 404))
    equal(code_of(b.s3.upload_part, **at, UploadId="nonsense", PartNumber=1, Body=b"x"), ("NoSuchUpload", 404))
    uploads = {(k, b.s3.create_multipart_upload(Bucket="aborts", Key=k)["UploadId"]) for k in ("a", "b", "b", "c/d")}
    pages = b.s3.get_paginator("list_multipart_uploads").paginate(Bucket="aborts", PaginationConfig={"PageSize": 1})
    equal({(u["Key"], u["UploadId"]) for p in pages for u in p.get("Uploads", [])}, uploads)
    equal([u["Key"] for u in b.s3.list_multipart_uploads(Bucket="aborts", Prefix="c/")["Uploads"]], ["c/d"])


@fact
def large_files_go_up_and_down_in_parallel(b):
    b.fresh("transfer")
    body = hashlib.sha512(b"seed").digest() * (40 << 14)
    b.s3.upload_fileobj(io.BytesIO(body), "transfer", "k")
    down = io.BytesIO()
    b.s3.download_fileobj("transfer", "k", down)
    equal(hashlib.md5(down.getvalue()).hexdigest(), hashlib.md5(body).hexdigest())


def raw_sum(data, name):
    if name == "SHA256":
        return hashlib.sha256(data).digest()
    if name == "SHA1":
        return hashlib.sha1(data).digest()
    return base64.b64decode({"CRC32": lambda d: base64.b64encode(zlib.crc32(d).to_bytes(4, "big")),
                             "CRC32C": lambda d: crc(d, 0x82f63b78, 32),
                             "CRC64NVME": lambda d: crc(d, 0x9a6c9329ac4bc9b5, 64)}[name](data))


@fact
def parts_have_checksums_and_so_has_the_object(b):
    b.fresh("part-sums")
    parts = [b"1" * (5 << 20), b"22"]
    at = {"Bucket": "part-sums", "Key": "k"}
    for name, kind in (("CRC32", "COMPOSITE"), ("CRC32", "FULL_OBJECT"), ("SHA256", "COMPOSITE"), ("SHA1", "COMPOSITE")):
        field = "Checksum" + name
        made = b.s3.create_multipart_upload(**at, ChecksumAlgorithm=name, ChecksumType=kind)
        equal((made["ChecksumAlgorithm"], made["ChecksumType"]), (name, kind))
        up = {**at, "UploadId": made["UploadId"]}
        ends, sums = [], [raw_sum(p, name) for p in parts]
        texts = [base64.b64encode(s).decode() for s in sums]
        for i, p in enumerate(parts):
            got = b.s3.upload_part(**up, PartNumber=i + 1, Body=p, ChecksumAlgorithm=name)
            equal(got[field], texts[i])
            ends.append({"PartNumber": i + 1, "ETag": got["ETag"], field: got[field]})
        other = "SHA1" if name != "SHA1" else "CRC32"
        equal(code_of(b.s3.upload_part, **up, PartNumber=3, Body=b"3", ChecksumAlgorithm=other), ("InvalidRequest", 400))
        listed = b.s3.list_parts(**up)
        equal((listed["ChecksumAlgorithm"], listed["ChecksumType"]), (name, kind))
        equal([p[field] for p in listed["Parts"]], texts)
        wrong = [{**ends[0], field: texts[1]}, ends[1]]
        equal(code_of(b.s3.complete_multipart_upload, **up, MultipartUpload={"Parts": wrong}), ("InvalidPart", 400))
        if kind == "COMPOSITE":
            want = base64.b64encode(raw_sum(b"".join(sums), name)).decode() + "-2"
        else:
            want = base64.b64encode(raw_sum(b"".join(parts), name)).decode()
            bad = base64.b64encode(b"0000").decode()
            equal(code_of(b.s3.complete_multipart_upload, **up, MultipartUpload={"Parts": ends}, ChecksumType=kind,
                          **{field: bad}), ("BadDigest", 400))
        equal(code_of(b.s3.complete_multipart_upload, **up, MultipartUpload={"Parts": ends}, MpuObjectSize=7),
              ("InvalidRequest", 400))
        done = b.s3.complete_multipart_upload(**up, MultipartUpload={"Parts": ends}, MpuObjectSize=(5 << 20) + 2)
        equal((done[field], done["ChecksumType"]), (want, kind))
        head = b.s3.head_object(**at, ChecksumMode="ENABLED")
        equal((head[field], head["ChecksumType"]), (want, kind))
        about = b.s3.get_object_attributes(**at, ObjectAttributes=["ETag", "Checksum", "ObjectParts", "ObjectSize", "StorageClass"])
        equal((about["Checksum"][field], about["Checksum"]["ChecksumType"]), (want, kind))
        equal((about["ETag"], about["ObjectSize"]), (head["ETag"].strip('"'), (5 << 20) + 2))
        equal(about["ObjectParts"]["TotalPartsCount"], 2)
        equal([(p["PartNumber"], p["Size"], p[field]) for p in about["ObjectParts"]["Parts"]],
              [(1, 5 << 20, texts[0]), (2, 2, texts[1])])
    for kw in ({"ChecksumAlgorithm": "SHA1", "ChecksumType": "FULL_OBJECT"}, {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "COMPOSITE"}):
        equal(code_of(b.s3.create_multipart_upload, **at, **kw), ("InvalidRequest", 400))


@fact
def sums_of_whole_objects_come_from_those_of_parts(b):
    b.fresh("whole-sums")
    parts = [bytes(range(256)) * (5 << 12), b"end of it"]
    at = {"Bucket": "whole-sums", "Key": "k"}
    def make(name, bodies):
        up = b.s3.create_multipart_upload(**at, ChecksumAlgorithm=name, ChecksumType="FULL_OBJECT")["UploadId"]
        ends = []
        for i, body in enumerate(bodies):  # without a sum of the client's
            query = [("partNumber", str(i + 1)), ("uploadId", up)]
            _, headers, _ = b.raw.send("PUT", "/whole-sums/k", query=query, body=body)
            ends.append({"PartNumber": i + 1, "ETag": headers["etag"], "Checksum" + name: headers["x-amz-checksum-" + name.lower()]})
        done = b.s3.complete_multipart_upload(**at, UploadId=up, MultipartUpload={"Parts": ends}, ChecksumType="FULL_OBJECT")
        return done["Checksum" + name]
    for name in ("CRC32", "CRC32C", "CRC64NVME"):
        equal(make(name, parts), make(name, [b"".join(parts)]))
    equal(make("CRC32C", [b"123456789"]), base64.b64encode(0xe3069283.to_bytes(4, "big")).decode())


@fact
def parts_are_read_by_number(b):
    b.fresh("by-part")
    at = {"Bucket": "by-part", "Key": "k"}
    parts = [b"1" * (5 << 20), b"22"]
    up = {**at, "UploadId": b.s3.create_multipart_upload(**at)["UploadId"]}
    ends = [{"PartNumber": i + 1, "ETag": b.s3.upload_part(**up, PartNumber=i + 1, Body=p)["ETag"]} for i, p in enumerate(parts)]
    b.s3.complete_multipart_upload(**up, MultipartUpload={"Parts": ends})
    for i, p in enumerate(parts):
        got = b.s3.get_object(**at, PartNumber=i + 1)
        equal(got["Body"].read(), p)
        equal((got["PartsCount"], got["ResponseMetadata"]["HTTPStatusCode"]), (2, 206))
        equal(b.s3.head_object(**at, PartNumber=i + 1)["ContentLength"], len(p))
    equal(code_of(b.s3.get_object, **at, PartNumber=3), ("InvalidPartNumber", 416))
    equal(code_of(b.s3.get_object, **at, PartNumber=1, Range="bytes=0-1"), ("InvalidRequest", 400))
    b.s3.put_object(Bucket="by-part", Key="one", Body=b"x")
    equal(b.read("by-part", "one", PartNumber=1), b"x")
    equal(code_of(b.s3.get_object, Bucket="by-part", Key="one", PartNumber=2), ("InvalidPartNumber", 416))


# Versions

@fact
def versions_are_kept_listed_and_read(b):
    b.fresh("versions")
    at = {"Bucket": "versions", "Key": "k"}
    b.s3.put_object(**at, Body=b"zero")
    equal("VersionId" in b.s3.head_object(**at), False)
    b.s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    equal(b.s3.get_bucket_versioning(Bucket="versions")["Status"], "Enabled")
    ids = ["null"] + [b.s3.put_object(**at, Body=str(i).encode())["VersionId"] for i in (1, 2, 3)]
    equal(len(set(ids)), 4)
    equal(b.s3.get_object(**at)["VersionId"], ids[3])
    for i, body in enumerate((b"zero", b"1", b"2", b"3")):
        got = b.s3.get_object(**at, VersionId=ids[i])
        equal((got["Body"].read(), got["VersionId"]), (body, ids[i]))
    listed = b.s3.list_object_versions(Bucket="versions")["Versions"]
    equal([(v["VersionId"], v["IsLatest"]) for v in listed], [(v, v == ids[3]) for v in ids[::-1]])
    pages = list(b.s3.get_paginator("list_object_versions").paginate(Bucket="versions", PaginationConfig={"PageSize": 1}))
    equal([v["VersionId"] for p in pages for v in p.get("Versions", [])], ids[::-1])
    gone = b.s3.delete_object(**at)
    equal(gone["DeleteMarker"], True)
    equal(code_of(b.s3.get_object, **at), ("NoSuchKey", 404))
    status, headers, _ = b.raw.send("GET", "/versions/k")
    equal((status, headers["x-amz-delete-marker"], headers["x-amz-version-id"]), (404, "true", gone["VersionId"]))
    equal(code_of(b.s3.get_object, **at, VersionId=gone["VersionId"]), ("MethodNotAllowed", 405))
    equal(b.s3.list_objects_v2(Bucket="versions")["KeyCount"], 0)
    equal(b.s3.list_object_versions(Bucket="versions")["DeleteMarkers"][0]["IsLatest"], True)
    equal(code_of(b.s3.delete_bucket, Bucket="versions"), ("BucketNotEmpty", 409))
    undone = b.s3.delete_object(**at, VersionId=gone["VersionId"])
    equal((undone["DeleteMarker"], undone["VersionId"]), (True, gone["VersionId"]))
    equal(b.read("versions", "k"), b"3")
    b.s3.delete_object(**at, VersionId=ids[3])
    equal(b.read("versions", "k"), b"2")
    equal(code_of(b.s3.get_object, **at, VersionId=ids[3]), ("NoSuchVersion", 404))
    equal(code_of(b.s3.get_object, **at, VersionId="nonsense"), ("InvalidArgument", 400))
    equal(raw_code(b.raw.send("PUT", "/versions/k", query=[("versionId", ids[1])], body=b"x")), (400, "InvalidArgument"))
    copied = b.s3.copy_object(Bucket="versions", Key="copy", CopySource={"Bucket": "versions", "Key": "k", "VersionId": ids[1]})
    equal((copied["CopySourceVersionId"], b.read("versions", "copy")), (ids[1], b"1"))
    b.s3.copy_object(**at, CopySource={"Bucket": "versions", "Key": "k", "VersionId": ids[1]})
    equal(b.read("versions", "k"), b"1")


@fact
def versions_have_tags_of_their_own(b):
    b.fresh("version-tags")
    b.s3.put_bucket_versioning(Bucket="version-tags", VersioningConfiguration={"Status": "Enabled"})
    at = {"Bucket": "version-tags", "Key": "k"}
    ids = [b.s3.put_object(**at, Body=b"x")["VersionId"] for _ in range(2)]
    for i, v in enumerate(ids):
        answer = b.s3.put_object_tagging(**at, VersionId=v, Tagging={"TagSet": [{"Key": "n", "Value": str(i)}]})
        equal(answer["VersionId"], v)
    for i, v in enumerate(ids):
        equal(b.s3.get_object_tagging(**at, VersionId=v)["TagSet"], [{"Key": "n", "Value": str(i)}])
    b.s3.delete_object_tagging(**at, VersionId=ids[0])
    equal(b.s3.get_object_tagging(**at, VersionId=ids[0])["TagSet"], [])
    equal(len(b.s3.list_object_versions(Bucket="version-tags")["Versions"]), 2)


@fact
def suspended_versions_replace_the_null_version(b):
    b.fresh("suspended")
    at = {"Bucket": "suspended", "Key": "k"}
    b.s3.put_bucket_versioning(Bucket="suspended", VersioningConfiguration={"Status": "Enabled"})
    kept = b.s3.put_object(**at, Body=b"kept")["VersionId"]
    b.s3.put_bucket_versioning(Bucket="suspended", VersioningConfiguration={"Status": "Suspended"})
    equal(b.s3.put_object(**at, Body=b"1")["VersionId"], "null")
    b.s3.put_object(**at, Body=b"2")
    equal([v["VersionId"] for v in b.s3.list_object_versions(Bucket="suspended")["Versions"]], ["null", kept])
    equal(b.s3.delete_object(**at)["VersionId"], "null")
    listed = b.s3.list_object_versions(Bucket="suspended")
    equal(([v["VersionId"] for v in listed["Versions"]], [v["VersionId"] for v in listed["DeleteMarkers"]]), ([kept], ["null"]))
    for status in ("Off", ""):
        equal(raw_code(b.raw.send("PUT", "/suspended", query=[("versioning", "")], body=
              f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>".encode())), (400, "MalformedXML"))


@fact
def many_versions_are_deleted_at_once(b):
    b.fresh("batch-versions")
    b.s3.put_bucket_versioning(Bucket="batch-versions", VersioningConfiguration={"Status": "Enabled"})
    for i in range(3):
        for key in ("a/1", "a/2", "b"):
            b.s3.put_object(Bucket="batch-versions", Key=key, Body=b"x")
    marked = b.s3.delete_objects(Bucket="batch-versions", Delete={"Objects": [{"Key": "b"}]})["Deleted"][0]
    equal(marked["DeleteMarker"], True)
    page = b.s3.list_object_versions(Bucket="batch-versions", Delimiter="/")
    equal(([p["Prefix"] for p in page["CommonPrefixes"]], len(page["Versions"]), len(page["DeleteMarkers"])), (["a/"], 3, 1))
    listed = b.s3.list_object_versions(Bucket="batch-versions")
    every = [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in listed["Versions"] + listed["DeleteMarkers"]]
    equal(len(b.s3.delete_objects(Bucket="batch-versions", Delete={"Objects": every})["Deleted"]), 10)
    b.s3.delete_bucket(Bucket="batch-versions")


# Tags

@fact
def tags_are_set_read_and_removed(b):
    b.fresh("tags")
    at = {"Bucket": "tags", "Key": "k"}
    b.s3.put_object(**at, Body=b"1", Tagging="a=1&b%20c=%26", Metadata={"m": "1"})
    equal(b.s3.get_object_tagging(**at)["TagSet"], [{"Key": "a", "Value": "1"}, {"Key": "b c", "Value": "&"}])
    equal(b.s3.get_object(**at)["TagCount"], 2)
    b.s3.put_object_tagging(**at, Tagging={"TagSet": [{"Key": "x<y", "Value": "\u00e9"}]})
    equal(b.s3.get_object_tagging(**at)["TagSet"], [{"Key": "x<y", "Value": "\u00e9"}])
    equal(b.s3.head_object(**at)["Metadata"], {"m": "1"})
    twice = {"TagSet": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}
    equal(code_of(b.s3.put_object_tagging, **at, Tagging=twice), ("InvalidTag", 400))
    eleven = {"TagSet": [{"Key": str(i), "Value": ""} for i in range(11)]}
    equal(code_of(b.s3.put_object_tagging, **at, Tagging=eleven), ("InvalidTag", 400))
    b.s3.delete_object_tagging(**at)
    equal(b.s3.get_object_tagging(**at)["TagSet"], [])
    equal(code_of(b.s3.get_object_tagging, Bucket="tags", Key="none"), ("NoSuchKey", 404))


# Signatures

@fact
def signatures_by_others_are_refused(b):
    b.fresh("secret")
    equal(code_of(b.client(secret="wrong").list_objects_v2, Bucket="secret"), ("SignatureDoesNotMatch", 403))
    equal(code_of(b.client(access="AKIANOBODY").list_objects_v2, Bucket="secret"), ("InvalidAccessKeyId", 403))
    equal(raw_code(b.raw.plain("GET", "/secret", {"host": b.raw.host})), (403, "AccessDenied"))
    equal(raw_code(b.raw.send("GET", "/secret", change=lambda s: s[:-1] + ("0" if s[-1] != "0" else "1"))),
          (403, "SignatureDoesNotMatch"))
    equal(raw_code(b.raw.send("GET", "/secret", change=lambda s: s[:-1])), (400, "AuthorizationHeaderMalformed"))
    equal(raw_code(b.raw.send("GET", "/secret", unsigned_headers={"x-amz-acl": "private"})), (403, "AccessDenied"))
    equal(raw_code(b.raw.send("PUT", "/secret/k", body=b"real", payload=EMPTY)), (400, "XAmzContentSHA256Mismatch"))
    for minutes, want in ((-14, 200), (14, 200), (-16, 403), (16, 403)):
        now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
        status, code = raw_code(b.raw.send("GET", "/secret", now=now))
        equal((status, code), (want, "" if want == 200 else "RequestTimeTooSkewed"))
    equal(raw_code(b.raw.plain("GET", "/secret", {"host": b.raw.host, "authorization": "AWS a:b"})),
          (400, "InvalidRequest"))


@fact
def presigned_urls_work_until_they_expire(b):
    b.fresh("presigned")
    at = {"Bucket": "presigned", "Key": "a b/\u00e9"}
    def fetch(url, **kw):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, **kw), timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as e:
            return e.code, e.read()
    url = b.s3.generate_presigned_url("put_object", at, 600)
    equal(fetch(url, method="PUT", data=b"by url", headers={"Content-Type": ""})[0], 200)
    url = b.s3.generate_presigned_url("get_object", at, 600)
    equal(fetch(url), (200, b"by url"))
    equal(fetch(url.replace("a%20b", "a%20c"))[0], 403)
    equal(fetch(url.replace("Expires=600", "Expires=601"))[0], 403)
    equal(fetch(url, method="DELETE")[0], 403)
    equal(fetch(url.replace("Expires=600", "Expires=604801"))[0], 400)
    past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=10)
    for expires, want in (("660", 200), ("540", 403)):
        time = past.strftime("%Y%m%dT%H%M%SZ")
        query = [("X-Amz-Algorithm", "AWS4-HMAC-SHA256"), ("X-Amz-Date", time), ("X-Amz-Expires", expires),
                 ("X-Amz-Credential", f"{b.access}/{time[:8]}/us-east-1/s3/aws4_request"),
                 ("X-Amz-SignedHeaders", "host")]
        path = "/presigned/a b/\u00e9"
        signature = b.raw.sign("GET", path, query, {"host": b.raw.host}, "UNSIGNED-PAYLOAD", past)[0]
        query = urllib.parse.urlencode([*query, ("X-Amz-Signature", signature)], quote_via=urllib.parse.quote)
        status, body = fetch(b.endpoint + urllib.parse.quote(path) + "?" + query)
        equal(status, want)
        equal(b"Request has expired" in body, want == 403)


# Policies

def policy(bucket, *statements):
    out = []
    for effect, who, actions, paths, *condition in statements:
        out.append({"Effect": effect, "Principal": who, "Action": actions,
                    "Resource": [f"arn:aws:s3:::{bucket}{p}" for p in paths]} | ({"Condition": condition[0]} if condition else {}))
    return json.dumps({"Version": "2012-10-17", "Statement": out})


@fact
def a_policy_says_who_may_do_what(b):
    b.fresh("policies")
    at = {"Bucket": "policies"}
    for key in ("pub/1", "desk/alice/1", "desk/bob/1"):
        b.s3.put_object(**at, Key=key, Body=b"x")
    for client in (b.alice, b.nobody):
        equal(code_of(client.get_object, **at, Key="pub/1"), ("AccessDenied", 403))
        equal(code_of(client.list_objects_v2, **at), ("AccessDenied", 403))
        equal(code_of(client.get_object, Bucket="not-there", Key="k"), ("AccessDenied", 403))
    text = policy("policies", ("Allow", "*", "s3:GetObject", ["/pub/*"]),
                  ("Allow", {"AWS": "arn:aws:iam::1:user/alice"}, ["s3:GetObject", "s3:PutObject", "s3:DeleteObject*"], ["/desk/alice/*"]),
                  ("Allow", {"AWS": ["alice"]}, "s3:ListBucket", [""], {"StringLike": {"s3:prefix": "desk/alice/*"}}),
                  ("Deny", "*", "s3:DeleteObject", ["/pub/*"]))
    b.s3.put_bucket_policy(**at, Policy=text)
    equal(json.loads(b.s3.get_bucket_policy(**at)["Policy"]), json.loads(text))
    equal(b.nobody.get_object(**at, Key="pub/1")["Body"].read(), b"x")
    equal(code_of(b.nobody.get_object, **at, Key="pub/none"), ("AccessDenied", 403))
    equal(code_of(b.nobody.delete_objects, **at, Delete={"Objects": [{"Key": "pub/1"}]}), ("AccessDenied", 403))
    equal(b.alice.get_object(**at, Key="desk/alice/1")["Body"].read(), b"x")
    b.alice.put_object(**at, Key="desk/alice/2", Body=b"y")
    equal(code_of(b.alice.put_object, **at, Key="desk/bob/2", Body=b"y"), ("AccessDenied", 403))
    equal(code_of(b.nobody.put_object, **at, Key="pub/2", Body=b"y"), ("AccessDenied", 403))
    equal(len(b.alice.list_objects_v2(**at, Prefix="desk/alice/")["Contents"]), 2)
    equal(code_of(b.alice.list_objects_v2, **at, Prefix="desk/"), ("AccessDenied", 403))
    equal(code_of(b.alice.get_bucket_policy, **at), ("AccessDenied", 403))
    equal(code_of(b.alice.create_bucket, Bucket="alices"), ("AccessDenied", 403))
    equal(code_of(b.alice.list_buckets), ("AccessDenied", 403))
    equal(code_of(b.alice.copy_object, **at, Key="desk/alice/3", CopySource="policies/desk/bob/1"), ("AccessDenied", 403))
    b.alice.copy_object(**at, Key="desk/alice/3", CopySource="policies/desk/alice/1")
    gone = b.alice.delete_objects(**at, Delete={"Objects": [{"Key": "desk/alice/3"}, {"Key": "desk/bob/1"}]})
    equal(([x["Key"] for x in gone["Deleted"]], [(x["Key"], x["Code"]) for x in gone["Errors"]]),
          (["desk/alice/3"], [("desk/bob/1", "AccessDenied")]))
    equal(code_of(b.s3.delete_object, **at, Key="pub/1"), ("AccessDenied", 403))
    b.s3.put_bucket_policy(**at, Policy=policy("policies", ("Deny", "*", "s3:*", ["", "/*"])))
    equal(code_of(b.s3.get_object, **at, Key="pub/1"), ("AccessDenied", 403))
    equal(code_of(b.s3.put_bucket_versioning, **at, VersioningConfiguration={"Status": "Enabled"}), ("AccessDenied", 403))
    b.s3.delete_bucket_policy(**at)
    equal(code_of(b.s3.get_bucket_policy, **at), ("NoSuchBucketPolicy", 404))
    equal(code_of(b.nobody.get_object, **at, Key="pub/1"), ("AccessDenied", 403))
    b.s3.delete_object(**at, Key="pub/1")
    equal(b.s3.get_bucket_location(**at)["LocationConstraint"], None)


@fact
def a_policy_tells_versions_apart(b):
    b.fresh("version-policies")
    at = {"Bucket": "version-policies"}
    b.s3.put_bucket_versioning(**at, VersioningConfiguration={"Status": "Enabled"})
    kept, other = (b.s3.put_object(**at, Key="k", Body=x)["VersionId"] for x in (b"1", b"2"))
    denied = ("Deny", "*", ["s3:GetObjectVersion", "s3:DeleteObjectVersion"], ["/*"], {"StringEquals": {"s3:VersionId": kept}})
    b.s3.put_bucket_policy(**at, Policy=policy("version-policies", denied))
    def copy(version):
        return code_of(b.s3.copy_object, **at, Key="copy", CopySource={**at, "Key": "k", "VersionId": version})
    equal((copy(kept), copy(other)), (("AccessDenied", 403), (None, 200)))
    equal(code_of(b.s3.get_object, **at, Key="k", VersionId=kept), ("AccessDenied", 403))
    gone = b.s3.delete_objects(**at, Delete={"Objects": [{"Key": "k", "VersionId": v} for v in (kept, other)]})
    equal(([x["VersionId"] for x in gone["Deleted"]], [(x["VersionId"], x["Code"]) for x in gone["Errors"]]),
          ([other], [(kept, "AccessDenied")]))
    b.s3.delete_bucket_policy(**at)


@fact
def policies_that_are_none_are_refused(b):
    b.fresh("bad-policies")
    good = json.loads(policy("bad-policies", ("Allow", "*", "s3:GetObject", ["/*"])))
    def put(text):
        return code_of(b.s3.put_bucket_policy, Bucket="bad-policies", Policy=text)
    def changed(**kw):
        return put(json.dumps({**good, "Statement": [{k: v for k, v in {**good["Statement"][0], **kw}.items() if v is not None}]}))
    equal(put(json.dumps(good)), (None, 200))
    for text in ("", "{", "[]", "{}", "nonsense", "[" * 10000, '{"Statement":[]}', '{"Statement":1}', '{"a":1,"a":2}', "\0",
                 json.dumps({**good, "Version": "2000-01-01"}), json.dumps(good) + " " * 20480):
        equal(put(text), ("MalformedPolicy", 400))
    for kw in ({"Effect": "Maybe"}, {"Effect": None}, {"Principal": None}, {"Principal": "alice"}, {"Principal": {"Service": "x"}},
               {"Principal": {"AWS": []}}, {"Action": "ec2:Run"}, {"Action": 1}, {"Action": None}, {"NotAction": "s3:*"},
               {"Resource": "arn:aws:s3:::other/*"}, {"Resource": "*"}, {"Resource": "arn:aws:s3:::bad-policies-2/*"}, {"Extra": 1},
               {"Condition": []}):
        equal(changed(**kw), ("MalformedPolicy", 400))
    for kw in ({"Condition": {"IpAddress": {"aws:SourceIp": "1.2.3.4"}}}, {"Condition": {"StringEquals": {"aws:unknown": "1"}}},
               {"Resource": "arn:aws:s3:::bad-policies/${aws:username}/*"}, {"Condition": {"StringLike": {"s3:prefix": "${aws:username}/*"}}}):
        equal(changed(**kw), ("NotImplemented", 501))
    equal(json.loads(b.s3.get_bucket_policy(Bucket="bad-policies")["Policy"]), good)
    equal(b.s3.get_bucket_policy_status(Bucket="bad-policies")["PolicyStatus"]["IsPublic"], True)


# Pages of other origins

@fact
def browsers_are_told_who_may_use_a_bucket(b):
    b.fresh("cors")
    rules = [{"AllowedOrigins": ["https://*.example.com"], "AllowedMethods": ["GET", "PUT"], "AllowedHeaders": ["x-amz-*", "content-type"],
              "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 60}, {"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]}]
    def ask(origin, method, headers=None, path="/cors/k"):
        h = {"host": b.raw.host, "origin": origin, "access-control-request-method": method}
        return b.raw.plain("OPTIONS", path, h | ({"access-control-request-headers": headers} if headers else {}))
    equal(code_of(b.s3.get_bucket_cors, Bucket="cors"), ("NoSuchCORSConfiguration", 404))
    equal(raw_code(ask("https://a.example.com", "GET")), (403, "AccessForbidden"))
    b.s3.put_bucket_cors(Bucket="cors", CORSConfiguration={"CORSRules": rules})
    equal(b.s3.get_bucket_cors(Bucket="cors")["CORSRules"], rules)
    status, headers, _ = ask("https://a.example.com", "PUT", "X-Amz-Date, Content-Type")
    equal((status, headers["access-control-allow-origin"], headers["access-control-allow-credentials"]),
          (200, "https://a.example.com", "true"))
    equal((headers["access-control-max-age"], headers["access-control-allow-methods"]), ("60", "GET, PUT"))
    equal(ask("https://other.org", "GET")[1]["access-control-allow-origin"], "*")
    for bad in (ask("https://other.org", "PUT"), ask("https://a.example.com", "PUT", "x-other"), ask("https://a.example.com", "DELETE"),
                ask("https://a.example.com", "GET", path="/no-such-bucket/k")):
        equal(raw_code(bad), (403, "AccessForbidden"))
    equal(raw_code(b.raw.plain("OPTIONS", "/cors/k", {"host": b.raw.host})), (400, "BadRequest"))
    b.s3.put_object(Bucket="cors", Key="k", Body=b"x")
    _, headers, _ = b.raw.send("GET", "/cors/k", headers={"origin": "https://b.example.com"})
    equal((headers["access-control-allow-origin"], headers["access-control-expose-headers"]), ("https://b.example.com", "ETag"))
    equal(b.raw.send("GET", "/cors/k")[1]["access-control-allow-origin"], None)
    b.s3.delete_bucket_cors(Bucket="cors")
    equal(raw_code(ask("https://a.example.com", "GET")), (403, "AccessForbidden"))


DOCUMENTS_OF_HARM = (b"", b"<", b"<a/>", b"<CORSConfiguration", b"nonsense", b"<CORSConfiguration>" * 100,
                     b"<!-- \0 --><CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>",
                     b'<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><CORSConfiguration>&b;</CORSConfiguration>')


@fact
def rules_that_are_none_are_refused(b):
    b.fresh("bad-rules")
    def put(what, body):
        return raw_code(b.raw.send("PUT", "/bad-rules", query=[(what, "")], body=body))
    for what in ("cors", "lifecycle", "object-lock", "versioning"):
        for body in DOCUMENTS_OF_HARM:
            equal(put(what, body), (400, "MalformedXML"))
        equal(put(what, b"<a>" + b" " * (5 << 20)), (400, "EntityTooLarge"))
    def rule(text):
        return put("cors", f"<CORSConfiguration><CORSRule>{text}</CORSRule></CORSConfiguration>".encode())
    method, origin = "<AllowedMethod>GET</AllowedMethod>", "<AllowedOrigin>*</AllowedOrigin>"
    equal(rule(method + origin), (200, ""))
    for text in (method, origin, "", method + origin + "<Other/>"):
        equal(rule(text), (400, "MalformedXML"))
    for text in ("<AllowedMethod>PATCH</AllowedMethod>" + origin, method + "<AllowedOrigin>a*b*</AllowedOrigin>",
                 method + origin + "<MaxAgeSeconds>x</MaxAgeSeconds>", method + origin + "<ExposeHeader>a&#10;b: c</ExposeHeader>"):
        equal(rule(text), (400, "InvalidRequest"))
    equal(put("cors", b"<CORSConfiguration>" + b"<CORSRule/>" * 101 + b"</CORSConfiguration>"), (400, "MalformedXML"))


# Objects by forms

def form(fields, body, name="file.txt", boundary="----x-y"):
    out = b"".join(f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items())
    out += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: text/x\r\n\r\n'.encode()
    return out + body + f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="submit"\r\n\r\nGo\r\n--{boundary}--\r\n'.encode()


@fact
def forms_post_what_their_policy_says(b):
    b.fresh("forms")
    at = {"Bucket": "forms"}
    def send(fields, body=b"by form", path="/forms", **kw):
        headers = {"host": b.raw.host, "content-type": "multipart/form-data; boundary=----x-y"}
        return b.raw.plain("POST", path, headers, form(fields, body, **kw))
    conditions = [["starts-with", "$key", "user/"], {"acl": "private"}, ["content-length-range", 1, 1000000], ["starts-with", "$x-amz-meta-m", ""],
                  ["starts-with", "$success_action_status", ""], ["starts-with", "$Content-Type", "text/"]]
    made = b.s3.generate_presigned_post("forms", "user/${filename}", Fields={"acl": "private", "Content-Type": "text/plain", "x-amz-meta-m": "1"},
                                        Conditions=conditions, ExpiresIn=600)["fields"]
    status, headers, _ = send(made, name="C:\\dir/a b.txt")
    equal((status, headers["etag"]), (204, f'"{hashlib.md5(b"by form").hexdigest()}"'))
    got = b.s3.get_object(**at, Key="user/a b.txt")
    equal((got["Body"].read(), got["ContentType"], got["Metadata"]), (b"by form", "text/plain", {"m": "1"}))
    status, headers, text = send(made | {"key": "user/k", "success_action_status": "201"})
    equal((status, b"<Key>user/k</Key>" in text, headers["location"]), (201, True, f"{b.endpoint}/forms/user/k"))
    for size in (1, 65536, 1000000):
        body = bytes(i * 13 & 255 for i in range(1009)) * 1000
        equal(send(made | {"key": "user/size"}, body[:size])[0], 204)
        equal(b.read("forms", "user/size"), body[:size])
    equal(raw_code(send(made | {"key": "other/k"})), (403, "AccessDenied"))
    equal(raw_code(send(made | {"acl": "public-read"})), (403, "AccessDenied"))
    equal(raw_code(send(made | {"Content-Type": "image/png"})), (403, "AccessDenied"))
    equal(raw_code(send(made | {"x-amz-meta-other": "1"})), (403, "AccessDenied"))
    equal(send(made | {"x-ignore-me": "1"})[0], 204)
    for name in ("tagging", "x-amz-checksum-crc32"):
        equal(raw_code(send(made | {name: "1"})), (501, "NotImplemented"))
    equal(raw_code(send(made, b"")), (400, "EntityTooSmall"))
    equal(raw_code(send(made, b"x" * 1000001)), (400, "EntityTooLarge"))
    equal(raw_code(send(made | {"x-amz-signature": "0" * 64})), (403, "SignatureDoesNotMatch"))
    equal(raw_code(send(made | {"policy": made["policy"][:-8] + "AAAAAAA="})), (403, "SignatureDoesNotMatch"))
    equal(raw_code(send({k: v for k, v in made.items() if k != "x-amz-date"})), (400, "InvalidArgument"))
    equal(raw_code(send({k: v for k, v in made.items() if k != "key"})), (400, "InvalidArgument"))
    equal(raw_code(send({"key": "user/k"})), (403, "AccessDenied"))
    b.fresh("other-forms")
    equal(raw_code(send(made, path="/other-forms")), (403, "AccessDenied"))
    past = b.s3.generate_presigned_post("forms", "k", ExpiresIn=-10)["fields"]
    equal(raw_code(send(past)), (403, "AccessDenied"))
    alices = b.alice.generate_presigned_post("forms", "k", ExpiresIn=600)["fields"]
    equal(raw_code(send(alices)), (403, "AccessDenied"))
    to = b.s3.generate_presigned_post("forms", "k", Fields={"success_action_redirect": "http://example.com/next"},
                                      Conditions=[{"success_action_redirect": "http://example.com/next"}])["fields"]
    status, headers, _ = send(to)
    equal((status, headers["location"].startswith("http://example.com/next?bucket=forms&key=k&etag=")), (303, True))
    b.s3.put_bucket_policy(**at, Policy=policy("forms", ("Allow", "*", "s3:PutObject", ["/drop/*"])))
    equal((send({"key": "drop/1"})[0], raw_code(send({"key": "k"}))), (204, (403, "AccessDenied")))


@fact
def forms_that_are_none_are_refused(b):
    b.fresh("bad-forms")
    good = b.s3.generate_presigned_post("bad-forms", "k")["fields"]
    def send(body, kind="multipart/form-data; boundary=----x-y"):
        return raw_code(b.raw.plain("POST", "/bad-forms", {"host": b.raw.host, "content-type": kind}, body))
    for body in (b"", b"nonsense", form(good, b"x")[:-300], b"------x-y\r\n" + b"h" * 10000, form({f"f{i}": "" for i in range(70)}, b"x"),
                 form({"f": "x" * 70000}, b"x"), form(good, b"x").replace(b'name="file"', b'name="other"')):
        equal(send(body)[0] in (400, 403, 411), True)
    equal(send(form(good, b"x"), "multipart/form-data"), (400, "MalformedPOSTRequest"))
    equal(send(form(good, b"x"), "multipart/form-data; boundary=" + "b" * 71), (400, "MalformedPOSTRequest"))
    def signed(text):
        time = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        encoded = base64.b64encode(text.encode()).decode()
        return send(form({"key": "k", "policy": encoded, "x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-date": time,
                          "x-amz-credential": f"{b.access}/{time[:8]}/us-east-1/s3/aws4_request",
                          "x-amz-signature": b.raw.sign_text(encoded, time)}, b"x"))
    until = '"expiration":"2099-01-01T00:00:00Z"'
    for text in ("", "{", "[]", "{}", "{" + until + "}", "{" + until + ',"conditions":[1]}', "{" + until + ',"conditions":[["eq","key","k"]]}',
                 "{" + until + ',"conditions":[["eq","$key"]]}', "{" + until + ',"conditions":[["content-length-range",-1,5]]}',
                 "{" + until + ',"conditions":[["like","$key","k"]]}', '{"expiration":"soon","conditions":[]}', "[" * 5000):
        equal(signed(text), (400, "MalformedPOSTRequest"))
    equal(code_of(b.s3.head_object, Bucket="bad-forms", Key="k")[1], 404)


# Lifecycle

@fact
def lifecycle_rules_end_objects(b):
    b.fresh("lifecycle")
    at = {"Bucket": "lifecycle"}
    equal(code_of(b.s3.get_bucket_lifecycle_configuration, **at), ("NoSuchLifecycleConfiguration", 404))
    for key in ("old/1", "old/2", "new/1"):
        b.s3.put_object(**at, Key=key, Body=b"x")
    b.s3.put_object(**at, Key="tagged", Body=b"x", Tagging="temp=yes")
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    rules = [{"ID": "a", "Filter": {"Prefix": "old/"}, "Status": "Enabled", "Expiration": {"Date": past}},
             {"ID": "b", "Filter": {"Tag": {"Key": "temp", "Value": "yes"}}, "Status": "Enabled", "Expiration": {"Date": past}},
             {"ID": "c", "Filter": {"Prefix": ""}, "Status": "Enabled", "Expiration": {"Days": 30},
              "NoncurrentVersionExpiration": {"NoncurrentDays": 3}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}]
    b.s3.put_bucket_lifecycle_configuration(**at, LifecycleConfiguration={"Rules": rules})
    equal(b.s3.get_bucket_lifecycle_configuration(**at)["Rules"], rules)
    end = datetime.datetime.now() + datetime.timedelta(seconds=30)
    while [x["Key"] for x in b.s3.list_objects_v2(**at)["Contents"]] != ["new/1"]:
        assert datetime.datetime.now() < end, "it was not applied"
    b.s3.delete_bucket_lifecycle(**at)
    bad = [{"ID": "a", "Filter": {}, "Status": "Enabled", "Expiration": {"Days": 0}}]
    equal(code_of(b.s3.put_bucket_lifecycle_configuration, **at, LifecycleConfiguration={"Rules": bad}), ("InvalidArgument", 400))
    bad[0] |= {"Expiration": {"Days": 1}, "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}
    equal(code_of(b.s3.put_bucket_lifecycle_configuration, **at, LifecycleConfiguration={"Rules": bad}), ("NotImplemented", 501))


# Object lock

@fact
def what_is_locked_stays(b):
    at = {"Bucket": "locked", "Key": "k"}
    b.s3.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    equal(b.s3.get_bucket_versioning(Bucket="locked")["Status"], "Enabled")
    equal(code_of(b.s3.put_bucket_versioning, Bucket="locked", VersioningConfiguration={"Status": "Suspended"}), ("InvalidBucketState", 409))
    equal(b.s3.get_object_lock_configuration(Bucket="locked")["ObjectLockConfiguration"], {"ObjectLockEnabled": "Enabled"})
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    until = now + datetime.timedelta(days=1)
    v = b.s3.put_object(**at, Body=b"1", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)["VersionId"]
    head = b.s3.head_object(**at)
    equal((head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]), ("GOVERNANCE", until))
    equal(b.s3.get_object_retention(**at)["Retention"], {"Mode": "GOVERNANCE", "RetainUntilDate": until})
    equal(code_of(b.s3.delete_object, **at, VersionId=v), ("AccessDenied", 403))
    errors = b.s3.delete_objects(Bucket="locked", Delete={"Objects": [{"Key": "k", "VersionId": v}]})["Errors"]
    equal([e["Code"] for e in errors], ["AccessDenied"])
    marker = b.s3.delete_object(**at)["VersionId"]
    b.s3.delete_object(**at, VersionId=marker)
    sooner = {"Mode": "GOVERNANCE", "RetainUntilDate": now + datetime.timedelta(hours=1)}
    equal(code_of(b.s3.put_object_retention, **at, Retention=sooner), ("AccessDenied", 403))
    b.s3.put_object_retention(**at, Retention=sooner, BypassGovernanceRetention=True)
    b.s3.put_object_legal_hold(**at, LegalHold={"Status": "ON"})
    equal(b.s3.get_object_legal_hold(**at)["LegalHold"]["Status"], "ON")
    equal(code_of(b.s3.delete_object, **at, VersionId=v, BypassGovernanceRetention=True), ("AccessDenied", 403))
    b.s3.put_object_legal_hold(**at, LegalHold={"Status": "OFF"})
    b.s3.delete_object(**at, VersionId=v, BypassGovernanceRetention=True)
    v = b.s3.put_object(**at, Body=b"2", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until)["VersionId"]
    equal(code_of(b.s3.delete_object, **at, VersionId=v, BypassGovernanceRetention=True), ("AccessDenied", 403))
    for other in ({"Mode": "COMPLIANCE", "RetainUntilDate": now + datetime.timedelta(hours=1)},
                  {"Mode": "GOVERNANCE", "RetainUntilDate": until + datetime.timedelta(days=1)}):
        equal(code_of(b.s3.put_object_retention, **at, Retention=other, BypassGovernanceRetention=True), ("AccessDenied", 403))
    b.s3.put_object_retention(**at, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until + datetime.timedelta(days=1)})
    rule = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 2}}}
    b.s3.put_object_lock_configuration(Bucket="locked", ObjectLockConfiguration=rule)
    equal(b.s3.get_object_lock_configuration(Bucket="locked")["ObjectLockConfiguration"], rule)
    b.s3.put_object(Bucket="locked", Key="by-default", Body=b"")
    got = b.s3.get_object_retention(Bucket="locked", Key="by-default")["Retention"]
    equal((got["Mode"], abs((got["RetainUntilDate"] - now).total_seconds() - 2 * 86400) < 60), ("GOVERNANCE", True))
    b.s3.copy_object(Bucket="locked", Key="copied", CopySource="locked/k")
    equal(b.s3.get_object_retention(Bucket="locked", Key="copied")["Retention"]["Mode"], "GOVERNANCE")
    past = now - datetime.timedelta(hours=1)
    equal(code_of(b.s3.put_object, **at, Body=b"", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=past), ("InvalidArgument", 400))
    equal(code_of(b.s3.put_object, **at, Body=b"", ObjectLockMode="GOVERNANCE"), ("InvalidArgument", 400))
    b.fresh("unlocked")
    other = {"Bucket": "unlocked", "Key": "k"}
    equal(code_of(b.s3.put_object, **other, Body=b"", ObjectLockLegalHoldStatus="ON"), ("InvalidRequest", 400))
    b.s3.put_object(**other, Body=b"")
    equal(code_of(b.s3.get_object_retention, **other), ("InvalidRequest", 400))
    equal(code_of(b.s3.get_object_lock_configuration, Bucket="unlocked"), ("ObjectLockConfigurationNotFoundError", 404))
    equal(code_of(b.s3.put_object_lock_configuration, Bucket="unlocked", ObjectLockConfiguration=rule), ("InvalidBucketState", 409))


# The rest

@fact
def what_is_not_there_says_so(b):
    b.fresh("unsupported")
    at = {"Bucket": "unsupported"}
    equal(code_of(b.s3.put_bucket_website, **at, WebsiteConfiguration={"IndexDocument": {"Suffix": "i"}}), ("NotImplemented", 501))
    equal(code_of(b.s3.get_bucket_acl, **at), ("NotImplemented", 501))
    equal(code_of(b.s3.put_object, **at, Key="k", Body=b"", ServerSideEncryption="aws:kms")[0], "NotImplemented")
    equal(code_of(b.s3.put_object, **at, Key="k", Body=b"", ACL="public-read")[0], "NotImplemented")
    equal(code_of(b.s3.get_bucket_policy, **at), ("NoSuchBucketPolicy", 404))
    equal(b.s3.get_bucket_versioning(**at).get("Status"), None)
    equal(raw_code(b.raw.send("PATCH", "/unsupported/k")), (501, "NotImplemented"))
    equal(raw_code(b.raw.send("POST", "/")), (405, "MethodNotAllowed"))


@fact
def a_body_that_is_cut_off_leaves_nothing(b):
    b.fresh("cut")
    try:
        b.raw.send("PUT", "/cut/k", body=b"x" * 1000, unsigned_headers={"content-length": "100000"}, hang_up=True)
        raise AssertionError("it was answered")
    except (OSError, http.client.HTTPException):
        pass
    equal(code_of(b.s3.head_object, Bucket="cut", Key="k")[1], 404)


@fact
def thousands_of_requests_by_many_at_once(b):
    b.fresh("crowd")
    def work(i):
        key, body = f"k{i % 50}", bytes([i & 255]) * (i * 97 % 40000)
        b.s3.put_object(Bucket="crowd", Key=f"{key}/{i}", Body=body)
        equal(b.read("crowd", f"{key}/{i}"), body)
        equal(b.s3.head_object(Bucket="crowd", Key=f"{key}/{i}")["ContentLength"], len(body))
    with ThreadPoolExecutor(24) as pool:
        list(pool.map(work, range(400)))
    pages = b.s3.get_paginator("list_objects_v2").paginate(Bucket="crowd")
    equal(sum(len(p["Contents"]) for p in pages), 400)


if __name__ == "__main__":
    sys.exit(main())
