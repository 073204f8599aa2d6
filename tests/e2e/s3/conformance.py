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


@fact
def what_a_new_bucket_cannot_have_is_told(b):
    for headers in ({"x-amz-acl": "public-read"}, {"x-amz-grant-read": "id=x"}, {"x-amz-object-ownership": "ObjectWriter"}):
        equal(raw_code(b.raw.send("PUT", "/never-made", headers=headers)), (501, "NotImplemented"))
    body = b"<CreateBucketConfiguration><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></CreateBucketConfiguration>"
    equal(raw_code(b.raw.send("PUT", "/never-made", body=body)), (501, "NotImplemented"))
    equal(code_of(b.s3.head_bucket, Bucket="never-made")[1], 404)
    b.s3.create_bucket(Bucket="made", ACL="private", ObjectOwnership="BucketOwnerEnforced",
                       CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})


@fact
def buckets_are_listed_in_pages(b):
    names = [b.fresh(f"paged-{i}") for i in range(5)]
    got, token = [], {}
    for _ in range(3):
        page = b.s3.list_buckets(MaxBuckets=2, Prefix="paged-", **token)
        equal(page["Prefix"], "paged-")
        got.append([x["Name"] for x in page["Buckets"]])
        token = {"ContinuationToken": page.get("ContinuationToken")}
    equal((got, token), ([names[:2], names[2:4], names[4:]], {"ContinuationToken": None}))
    equal([x["Name"] for p in b.s3.get_paginator("list_buckets").paginate(Prefix="paged-", PaginationConfig={"PageSize": 3})
           for x in p["Buckets"]], names)
    equal(b.s3.list_buckets(BucketRegion="eu-west-1")["Buckets"], [])
    equal("ContinuationToken" in b.s3.list_buckets(MaxBuckets=5, Prefix="paged-"), False)
    for query in ([("max-buckets", "0")], [("max-buckets", "10001")], [("continuation-token", "!")]):
        equal(raw_code(b.raw.send("GET", "/", query)), (400, "InvalidArgument"))


# Policies

@fact
def a_policy_that_allows_all_but_somebody_is_refused(b):
    """It would allow those who have not signed as well."""
    b.fresh("but-one")
    def put(effect, **kw):
        statement = {"Effect": effect, "NotPrincipal": {"AWS": "alice"}, "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::but-one"} | kw
        return code_of(b.s3.put_bucket_policy, Bucket="but-one", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    equal(put("Allow"), ("MalformedPolicy", 400))
    equal(put("Deny"), (None, 200))


@fact
def resources_of_policies_may_have_wildcards_for_the_bucket(b):
    b.fresh("wild-bucket")
    b.s3.put_object(Bucket="wild-bucket", Key="k", Body=b"x")
    def put(resource):
        return code_of(b.s3.put_bucket_policy, Bucket="wild-bucket", Policy=json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::" + resource}]}))
    for resource in ("*", "*/*", "wild-*/k", "wild-buck?t/*"):
        equal(put(resource), (None, 200))
        equal(code_of(b.nobody.get_object, Bucket="wild-bucket", Key="k"), (None, 200))
    for resource in ("wilder-*", "wild/*", "?/k", "wild-bucket-2/*"):
        equal(put(resource), ("MalformedPolicy", 400))


@fact
def who_may_list_a_prefix_is_told_what_is_not_beneath_it(b):
    b.fresh("told")
    b.s3.put_bucket_policy(Bucket="told", Policy=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "alice"}, "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::told",
         "Condition": {"StringLike": {"s3:prefix": "public/*"}}},
        {"Effect": "Allow", "Principal": {"AWS": "alice"}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::told/*"}]}))
    equal(code_of(b.alice.head_object, Bucket="told", Key="public/k")[1], 404)
    equal(code_of(b.alice.head_object, Bucket="told", Key="private/k")[1], 403)
    equal(code_of(b.alice.list_objects_v2, Bucket="told")[1], 403)


# Lock and lifecycle

@fact
def governance_becomes_compliance_only_by_who_may_pass_it_by(b):
    at = {"Bucket": "modes", "Key": "k"}
    b.s3.create_bucket(Bucket="modes", ObjectLockEnabledForBucket=True)
    until = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(hours=1)
    later = until + datetime.timedelta(seconds=1)
    b.s3.put_object(**at, Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)
    equal(code_of(b.s3.put_object_retention, **at, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": later}), ("AccessDenied", 403))
    equal(b.s3.get_object_retention(**at)["Retention"], {"Mode": "GOVERNANCE", "RetainUntilDate": until})
    b.s3.put_object_retention(**at, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": later})
    b.s3.put_object_retention(**at, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": later}, BypassGovernanceRetention=True)
    equal(b.s3.get_object_retention(**at)["Retention"]["Mode"], "COMPLIANCE")


@fact
def lock_may_be_turned_on_where_there_are_versions(b):
    at = {"Bucket": b.fresh("locked-later")}
    rule = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
    def versions(status):
        return code_of(b.s3.put_bucket_versioning, **at, VersioningConfiguration={"Status": status})
    for status in (None, "Suspended"):
        if status:
            versions(status)
        equal(code_of(b.s3.put_object_lock_configuration, **at, ObjectLockConfiguration=rule), ("InvalidBucketState", 409))
    versions("Enabled")
    b.s3.put_object_lock_configuration(**at, ObjectLockConfiguration=rule)
    equal(b.s3.get_object_lock_configuration(**at)["ObjectLockConfiguration"], rule)
    equal(versions("Suspended"), ("InvalidBucketState", 409))
    made = b.s3.put_object(**at, Key="k", Body=b"x")["VersionId"]
    equal(code_of(b.s3.delete_object, **at, Key="k", VersionId=made), ("AccessDenied", 403))
    b.s3.delete_object(**at, Key="k", VersionId=made, BypassGovernanceRetention=True)


@fact
def values_that_cannot_be_are_told_as_s3_tells_them(b):
    at = {"Bucket": "wrong-values"}
    b.s3.create_bucket(**at, ObjectLockEnabledForBucket=True)
    for days in (0, -1, 1000000):
        equal(code_of(b.s3.put_object_lock_configuration, **at, ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": days}}}),
            ("InvalidRetentionPeriod", 400))
    rule = {"ID": "a", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    for rules in ([rule, rule], [rule | {"ID": "x" * 256}], [rule | {"Expiration": {"Days": 0}}]):
        equal(code_of(b.s3.put_bucket_lifecycle_configuration, **at, LifecycleConfiguration={"Rules": rules}), ("InvalidArgument", 400))


# Objects

@fact
def a_removal_on_a_condition_that_is_not_known_removes_nothing(b):
    at = {"Bucket": b.fresh("unknown-conditions"), "Key": "k"}
    b.s3.put_object(**at, Body=b"x")
    for headers in ({"x-amz-if-match-size": "5"}, {"x-amz-if-match-last-modified-time": "Thu, 01 Jan 2015 00:00:00 GMT"}):
        equal(raw_code(b.raw.send("DELETE", "/unknown-conditions/k", headers=headers)), (501, "NotImplemented"))
    equal(b.read("unknown-conditions", "k"), b"x")


@fact
def an_encoding_of_several_comes_back_as_it_was_sent(b):
    at = {"Bucket": b.fresh("encodings"), "Key": "k"}
    for given, want in (("deflate, gzip", "deflate, gzip"), ("aws-chunked, deflate, gzip", "deflate, gzip"), ("gzip, aws-chunked", "gzip")):
        b.s3.put_object(**at, Body=b"x", ContentEncoding=given)
        equal(b.s3.head_object(**at)["ContentEncoding"], want)


# Uploads

def upload(b, at, bodies, **kw):
    """An upload that is not completed: its id and parts."""
    id = b.s3.create_multipart_upload(**at, **kw)["UploadId"]
    parts = []
    for i, body in enumerate(bodies):
        made = b.s3.upload_part(**at, UploadId=id, PartNumber=i + 1, Body=body, **kw)
        parts.append({"PartNumber": i + 1} | {k: v for k, v in made.items() if k == "ETag" or k == "ChecksumCRC32"})
    return id, parts


@fact
def an_upload_that_was_completed_can_be_completed_again(b):
    """A client whose connection broke does not know that it was."""
    at = {"Bucket": b.fresh("again"), "Key": "k"}
    b.s3.put_bucket_versioning(Bucket="again", VersioningConfiguration={"Status": "Enabled"})
    id, parts = upload(b, at, (b"x" * (5 << 20), b"y"), ChecksumAlgorithm="CRC32")
    def complete(parts=parts, **kw):
        return b.s3.complete_multipart_upload(**at | kw, UploadId=id, MultipartUpload={"Parts": parts})
    first, second = complete(), complete()
    for name in ("ETag", "VersionId", "ChecksumCRC32", "ChecksumType", "Location"):
        equal(second[name], first[name])
    equal(len(b.s3.list_object_versions(Bucket="again")["Versions"]), 1)
    equal(code_of(complete, parts[:1]), ("NoSuchUpload", 404))
    equal(code_of(complete, Key="other"), ("NoSuchUpload", 404))
    equal("x-amz-upload-id" in b.s3.head_object(**at)["ResponseMetadata"]["HTTPHeaders"], False)
    b.s3.copy_object(Bucket="again", Key="copy", CopySource=at)
    equal(code_of(complete, Key="copy"), ("NoSuchUpload", 404))
    b.s3.put_object(**at, Body=b"another")
    equal(code_of(complete), ("NoSuchUpload", 404))


@fact
def completing_over_a_key_that_is_not_there_tells_of_the_key(b):
    at = {"Bucket": b.fresh("no-key"), "Key": "k"}
    id, parts = upload(b, at, (b"x",))
    done = {"UploadId": id, "MultipartUpload": {"Parts": parts}}
    equal(code_of(b.s3.complete_multipart_upload, **at, **done, IfMatch='"x"'), ("NoSuchKey", 404))
    b.s3.complete_multipart_upload(**at, **done)


@fact
def a_part_is_read_with_its_own_sum(b):
    at = {"Bucket": b.fresh("sums-of-parts"), "Key": "k"}
    bodies = (b"x" * (5 << 20), b"y")
    id, parts = upload(b, at, bodies, ChecksumAlgorithm="CRC32")
    whole = b.s3.complete_multipart_upload(**at, UploadId=id, MultipartUpload={"Parts": parts})
    for i, body in enumerate(bodies):
        got = b.s3.get_object(**at, PartNumber=i + 1, ChecksumMode="ENABLED")
        equal((got["ChecksumCRC32"], got["ChecksumType"], got["Body"].read() == body), (parts[i]["ChecksumCRC32"], whole["ChecksumType"], True))
    equal(b.s3.head_object(**at, ChecksumMode="ENABLED")["ChecksumCRC32"], whole["ChecksumCRC32"])


@fact
def a_part_is_copied_from_a_range_that_is_there(b):
    at = {"Bucket": b.fresh("copy-ranges"), "Key": "to"}
    b.s3.put_object(Bucket="copy-ranges", Key="from", Body=b"12345")
    id = b.s3.create_multipart_upload(**at)["UploadId"]
    def copy(text):
        return code_of(b.s3.upload_part_copy, **at, UploadId=id, PartNumber=1, CopySource="copy-ranges/from", CopySourceRange=text)
    for text in ("bytes=0-5", "bytes=0-21", "bytes=5-5"):
        equal(copy(text), ("InvalidRange", 416))
    for text in ("bytes=0-", "bytes=-2", "bytes=2-1", "0-1", "bytes=0-1,3-4"):
        equal(copy(text), ("InvalidArgument", 400))
    equal(copy("bytes=1-4"), (None, 200))
    equal(b.s3.list_parts(**at, UploadId=id)["Parts"][0]["Size"], 4)


# Sums

@fact
def the_sum_of_parts_may_come_without_their_count(b):
    """As minio's clients send it."""
    at = {"Bucket": b.fresh("composite"), "Key": "k"}
    def made(change):
        id = b.s3.create_multipart_upload(**at, ChecksumAlgorithm="SHA256")["UploadId"]
        part = b.s3.upload_part(**at, UploadId=id, PartNumber=1, Body=b"part", ChecksumAlgorithm="SHA256")
        whole = base64.b64encode(hashlib.sha256(hashlib.sha256(b"part").digest()).digest()).decode()
        return b.s3.complete_multipart_upload(**at, UploadId=id, ChecksumSHA256=change(whole), MultipartUpload={"Parts": [
            {"PartNumber": 1, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]}]})["ChecksumSHA256"]
    want = made(lambda s: s)
    equal(want[-2:], "-1")
    equal(made(lambda s: s + "-1"), want)
    for change in (lambda s: s + "-2", lambda s: s + "-", lambda s: s[1:], lambda s: "A" + s[1:]):
        equal(code_of(made, change), ("BadDigest", 400))


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
    old = {"expiration": until, "conditions": [{"BuCkEt": "old-forms"}, ["StArTs-WiTh", "$KeY", "u/"]]}
    equal(form(b, "old-forms", signed_form(b, old, {"kEy": "u/k"}))[0], 204)
    named = {"expiration": until, "conditions": [{"bucket": "old-forms"}, ["starts-with", "$key", "u/f"]]}
    equal(form(b, "old-forms", signed_form(b, named, {"key": "u/${filename}"}))[0], 204)
    equal(b.read("old-forms", "u/f"), b"by form")
    equal(raw_code(form(b, "old-forms", signed_form(b, named, {"key": "v/${filename}"}))), (403, "AccessDenied"))
    exact = {"expiration": until, "conditions": [{"bucket": "old-forms"}, {"key": "u/${filename}"}]}
    equal(form(b, "old-forms", signed_form(b, exact, {"key": "u/${filename}"}))[0], 204)
    for conditions in ([{}], [{"bucket": "old-forms", "key": "u/k"}]):
        equal(raw_code(form(b, "old-forms", signed_form(b, policy | {"conditions": conditions}, {"key": "u/k"}))), (400, "MalformedPOSTRequest"))
    for name in ("signature", "AWSAccessKeyId"):
        equal(raw_code(form(b, "old-forms", {k: v for k, v in good.items() if k != name})), (400, "InvalidArgument"))
    equal(raw_code(form(b, "old-forms", signed_form(b, policy, {"key": "u/k"}, *b.alice_keys))), (403, "AccessDenied"))


@fact
def forms_may_have_tags_and_checksums(b):
    at = {"Bucket": b.fresh("full-forms"), "Key": "k"}
    tags = "<Tagging><TagSet><Tag><Key>a b</Key><Value>\u00e9&amp;</Value></Tag></TagSet></Tagging>"
    sha = base64.b64encode(hashlib.sha256(b"by form").digest()).decode()
    def send(**fields):
        made = b.s3.generate_presigned_post("full-forms", "k", Fields=fields, Conditions=[{k: v} for k, v in fields.items()])["fields"]
        return raw_code(form(b, "full-forms", made))
    equal(send(**{"tagging": tags, "x-amz-checksum-sha256": sha, "x-amz-checksum-algorithm": "SHA256"})[0], 204)
    equal(b.s3.get_object_tagging(**at)["TagSet"], [{"Key": "a b", "Value": "\u00e9&"}])
    equal(b.s3.head_object(**at, ChecksumMode="ENABLED")["ChecksumSHA256"], sha)
    equal(send(tagging="<Tagging/>"), (400, "MalformedXML"))
    equal(send(**{"x-amz-checksum-sha256": sha[:-4] + "AAA="}), (400, "BadDigest"))
    for wrong in ({"x-amz-checksum-sha256": "x"}, {"x-amz-checksum-algorithm": "SHA1", "x-amz-checksum-sha256": sha},
                  {"x-amz-checksum-algorithm": "SHA256"}, {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-sha256": sha}):
        equal(send(**wrong), (400, "InvalidRequest"))
    b.s3.put_bucket_policy(Bucket="full-forms", Policy=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::full-forms/*"}]}))
    equal(form(b, "full-forms", {"key": "open"})[0], 204)
    equal(raw_code(form(b, "full-forms", {"key": "open", "tagging": tags})), (403, "AccessDenied"))


if __name__ == "__main__":
    sys.exit(main())
