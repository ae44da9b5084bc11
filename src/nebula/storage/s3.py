"""Objects in MinIO or any other S3. Only this module uses boto3.

There are two ways to the store. Changes and listings go through one boto3 client per process (thread-safe, with its own
retries). The requests that every viewer needs (GET, HEAD) are signed here and sent over pooled connections
(s3_reader.py). Addresses are path-style and signatures are always version 4: on a custom endpoint, boto3 would choose
version 2.

Limits: MinIO syncs a part but not the folder that it renames the part into. So if MinIO's drive is in this machine,
`sync_dir` names a directory on it, and that file system is synced before anything counts as done. A store on another
machine is trusted.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from nebula.domain.limits import PART_SIZE_BYTES
from nebula.errors import MultipartNotFound, NebulaError, NoRoom, ObjectChanged, ObjectNotFound, StoreUnavailable
from nebula.storage import s3_reader
from nebula.storage.contract import ObjectInfo, ObjectReader, Part, check_key, check_parts
from nebula.storage.disk import parts_of, sync_file_system
from nebula.storage.s3_reader import Connections, EmptyReader, Exchange, S3Reader

CHECK_S = 2.5
STALL_S = 10.0
PATIENCE_S = 30.0
# The last two are MinIO's, for an id that cannot be one of its own. Keys are checked before they are sent.
NO_UPLOAD = ("NoSuchUpload", "XMinioInvalidResourceName", "XMinioInvalidObjectName")

CLIENT = Config(
    signature_version="s3v4",
    s3={"addressing_style": "path"},
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
    max_pool_connections=64,
    connect_timeout=3,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 3},
    proxies={},  # the store is on this machine or the tailnet; a proxy in the environment is for something else
)


class S3Storage:
    """ObjectStorage in one bucket.

    `stall_s` limits the silence of a connection, `patience_s` how long a reader waits for the store.
    """

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        access_key: str,
        secret_key: str,
        *,
        region: str = "us-east-1",
        sync_dir: Path | None = None,
        stall_s: float = STALL_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._endpoint = endpoint
        self._bucket = bucket
        self._region = region
        self._sync_dir = sync_dir
        self._patience_s = patience_s
        self._credentials = Credentials(access_key, secret_key)
        self._connections = Connections(endpoint, stall_s)
        self._client = boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=CLIENT,
        )

    def prepare(self) -> None:
        """Create the bucket if it is missing."""
        with _answering(self._bucket):
            try:
                self._client.head_bucket(Bucket=self._bucket)
            except ClientError as error:
                if _status(error) != 404:
                    raise
                self._create_bucket()

    def _create_bucket(self) -> None:
        location = {} if self._region == "us-east-1" else {"LocationConstraint": self._region}
        place = {"CreateBucketConfiguration": location} if location else {}
        owned = self._client.exceptions.BucketAlreadyOwnedByYou
        with suppress(owned):  # another process was faster
            self._client.create_bucket(Bucket=self._bucket, **place)

    def check(self) -> None:
        """Check that the bucket exists. Whatever hangs (a name, a connection, an answer) is abandoned after CHECK_S."""
        answers: list[NebulaError | None] = []
        thread = threading.Thread(target=lambda: answers.append(self._health()), daemon=True)
        thread.start()
        thread.join(CHECK_S)
        answer = answers[0] if answers else StoreUnavailable("objects")
        if answer is not None:
            raise answer

    def _health(self) -> NebulaError | None:
        connections = Connections(self._endpoint, CHECK_S)
        path = f"/{self._bucket}"
        try:
            exchange = connections.ask("HEAD", path, self._signed("HEAD", path, {}))
        except s3_reader.LOST:
            return StoreUnavailable("objects")
        s3_reader.close(exchange)
        if exchange.response.status == 200:
            return None
        return _condition("NoSuchBucket", 404, self._bucket) if exchange.response.status == 404 else _refused(exchange)

    def create_multipart(self, key: str, media_type: str) -> str:
        """Begin a multipart upload."""
        with _answering(key):
            answer = self._client.create_multipart_upload(ContentType=media_type, **self._at(key))
        return str(answer["UploadId"])

    def put_part(self, key: str, multipart_id: str, number: int, body: bytes | bytearray | memoryview) -> Part:
        """Send one part. A bytes, a bytearray, or a view of a whole one is sent without a copy."""
        if number < 1 or len(body) > PART_SIZE_BYTES:
            raise ValueError(f"part {number} of {len(body)} bytes is no part")
        place = self._at(key, multipart_id)
        with _answering(key):
            answer = self._client.upload_part(PartNumber=number, Body=_sendable(body), **place)
        return Part(number, _unquoted(answer["ETag"]), len(body))

    def list_parts(self, key: str, multipart_id: str) -> list[Part]:
        """Return the parts, a thousand per request."""
        pages = self._client.get_paginator("list_parts").paginate(**self._at(key, multipart_id))
        with _answering(key):
            entries = [part for page in pages for part in page.get("Parts", ())]
        return [Part(part["PartNumber"], _unquoted(part["ETag"]), part["Size"]) for part in entries]

    def list_multiparts(self, key: str) -> list[str]:
        """Return the unfinished uploads of this key (MinIO lists them only by the whole key)."""
        check_key(key)
        paginator = self._client.get_paginator("list_multipart_uploads")
        with _answering(key):
            pages = paginator.paginate(Bucket=self._bucket, Prefix=key)
            uploads = [upload for page in pages for upload in page.get("Uploads", ())]
        return sorted(upload["UploadId"] for upload in uploads if upload["Key"] == key)

    def complete_multipart(self, key: str, multipart_id: str, parts: list[Part], size_bytes: int) -> ObjectInfo:
        """Join the parts, sync the store's drive, and check the resulting object."""
        check_parts(parts, size_bytes)
        with suppress(MultipartNotFound):  # it was completed before; the object shows whether that succeeded
            self._join(key, multipart_id, parts, size_bytes)
        self._sync()
        try:
            info = self.stat(key)
        except ObjectNotFound:
            info = None
        if info is None or info.size_bytes != size_bytes:
            raise MultipartNotFound(f"No unfinished upload {multipart_id} of {key}.")
        return info

    def _join(self, key: str, multipart_id: str, parts: list[Part], size_bytes: int) -> None:
        if size_bytes == 0:
            self._put_nothing(key, multipart_id)
            return
        part_list = [{"PartNumber": part.number, "ETag": f'"{part.etag}"'} for part in parts]
        with _answering(key):
            self._client.complete_multipart_upload(MultipartUpload={"Parts": part_list}, **self._at(key, multipart_id))

    def _put_nothing(self, key: str, multipart_id: str) -> None:
        """Store an empty object: S3 cannot complete an upload that has no parts."""
        self.list_parts(key, multipart_id)  # raises if the upload does not exist (any more), so that nothing is stored
        with _answering(key):
            self._client.put_object(Body=b"", **self._at(key))
        self.abort_multipart(key, multipart_id)

    def abort_multipart(self, key: str, multipart_id: str) -> None:
        """Abort the upload."""
        with suppress(MultipartNotFound), _answering(key):
            self._client.abort_multipart_upload(**self._at(key, multipart_id))

    def put_file(self, key: str, path: Path, media_type: str) -> ObjectInfo:
        """Send the file, in parts if it is larger than one, so that never more than one part is in memory."""
        size_bytes = path.stat().st_size
        if size_bytes > PART_SIZE_BYTES:
            return self._put_in_parts(key, path, media_type, size_bytes)
        with _answering(key):
            self._client.put_object(Body=path.read_bytes(), ContentType=media_type, **self._at(key))
        self._sync()
        return self.stat(key)

    def _put_in_parts(self, key: str, path: Path, media_type: str, size_bytes: int) -> ObjectInfo:
        multipart_id = self.create_multipart(key, media_type)
        try:
            parts = [self.put_part(key, multipart_id, number, body) for number, body in parts_of(path)]
            return self.complete_multipart(key, multipart_id, parts, size_bytes)
        except BaseException:
            with suppress(NebulaError):
                self.abort_multipart(key, multipart_id)
            raise

    def stat(self, key: str) -> ObjectInfo:
        """Request the object's metadata with HEAD."""
        exchange = self._ask("HEAD", key, {})
        self._connections.give_back(exchange)
        response = exchange.response
        if response.status != 200:
            raise _refused(exchange, key)
        modified_at = parsedate_to_datetime(response.headers["Last-Modified"]).astimezone(UTC)
        return ObjectInfo(key, int(response.headers["Content-Length"]), exchange.etag, modified_at)

    def open(self, key: str, start: int, length: int, etag: str | None = None) -> ObjectReader:
        """Begin to read a byte range.

        Raises at once if the store is down; only a reader that has already begun waits for the store.
        """
        if length:
            get = partial(self._get, key)
            return S3Reader(get, self._connections, start, length, etag, self._patience_s)
        info = self.stat(key)
        if start > info.size_bytes or etag not in (None, info.etag):
            raise ObjectChanged(f"{key} is not the object that was asked for.")
        return EmptyReader(start)

    def _get(self, key: str, start: int, length: int, etag: str | None) -> Exchange:
        """Begin a response that contains exactly this byte range of exactly this version of the object."""
        last = start + length - 1
        headers = {"Range": f"bytes={start}-{last}"} | ({"If-Match": f'"{etag}"'} if etag else {})
        exchange = self._ask("GET", key, headers)
        response = exchange.response
        if response.status == 206 and (response.getheader("Content-Range") or "").startswith(f"bytes {start}-{last}/"):
            return exchange
        if response.status < 300:
            s3_reader.close(exchange)
            raise ObjectChanged(f"{key} ends before byte {last}.")
        error = _refused(exchange, key)
        self._connections.give_back(exchange)
        raise error

    def delete(self, key: str) -> None:
        """Delete the object."""
        with _answering(key):
            self._client.delete_object(**self._at(key))

    def list_objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the bucket's objects, a thousand per request."""
        paginator = self._client.get_paginator("list_objects_v2")
        with _answering(self._bucket):
            for page in paginator.paginate(Bucket=self._bucket, Prefix=prefix):
                yield from map(_info, page.get("Contents", ()))

    def local_path(self, key: str) -> None:
        """Return None: the files on the store's drive are not ours to read."""
        check_key(key)

    def free_bytes(self) -> int | None:
        """Return the free space on the store's drive if it is in this machine."""
        if self._sync_dir is None:
            return None
        with _drive(self._sync_dir):
            room = os.statvfs(self._sync_dir)
        return room.f_bavail * room.f_frsize

    def _at(self, key: str, multipart_id: str | None = None) -> dict[str, str]:
        place = {"Bucket": self._bucket, "Key": check_key(key)}
        return place if multipart_id is None else place | {"UploadId": multipart_id}

    def _object_path(self, key: str) -> str:
        return f"/{self._bucket}/{quote(check_key(key), safe='/~')}"

    def _ask(self, method: str, key: str, headers: dict[str, str]) -> Exchange:
        path = self._object_path(key)
        try:
            return self._connections.ask(method, path, self._signed(method, path, headers))
        except s3_reader.LOST as error:
            raise StoreUnavailable("objects") from error

    def _signed(self, method: str, path: str, headers: dict[str, str]) -> dict[str, str]:
        request = AWSRequest(method, self._endpoint + path, headers=headers)
        S3SigV4Auth(self._credentials, "s3", self._region).add_auth(request)
        return dict(request.headers.items())

    def _sync(self) -> None:
        if self._sync_dir is not None:
            with _drive(self._sync_dir):
                sync_file_system(self._sync_dir)


@contextmanager
def _answering(subject: str) -> Iterator[None]:
    """Translate what boto3 raises about an object or bucket; let unknown errors pass."""
    try:
        yield
    except ClientError as error:
        condition = _condition(str(error.response.get("Error", {}).get("Code", "")), _status(error), subject)
        if condition is None:
            raise
        raise condition from error
    except (ConnectionError, HTTPClientError) as error:
        raise StoreUnavailable("objects") from error


@contextmanager
def _drive(sync_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailable("objects", f"S3_SYNC_DIR cannot be used: {error}.") from error


def _condition(code: str, status: int, subject: str) -> NebulaError | None:
    """Return what an S3 error code, or the HTTP status if there is none, means to Nebula."""
    if code in NO_UPLOAD:
        return MultipartNotFound(f"No such unfinished upload of {subject}.")
    if code in ("InvalidPart", "InvalidPartOrder", "EntityTooSmall"):
        return ObjectChanged("These parts are not the ones that are stored.")
    if code == "NoSuchBucket":
        return StoreUnavailable("objects", f"The object store has no bucket {subject}.")
    if code == "XMinioStorageFull" or status == 507:
        return NoRoom("The disk that holds the objects is full.")
    return _of_status(status, subject)


def _of_status(status: int, subject: str) -> NebulaError | None:
    if status == 404:
        return ObjectNotFound(f"No object {subject}.")
    if status in (412, 416):
        return ObjectChanged(f"{subject} is not the object that was asked for.")
    if status in (401, 403):
        return StoreUnavailable("objects", "The object store refuses Nebula's keys: S3_ACCESS_KEY, S3_SECRET_KEY.")
    if status >= 500 or status in (408, 429):
        return StoreUnavailable("objects")
    return None


def _refused(exchange: Exchange, subject: str = "") -> NebulaError:
    """Return the error of an unsuccessful response. If it has no body, MinIO names the error in a header."""
    response = exchange.response
    try:
        body = b"" if response.isclosed() else s3_reader.drain(exchange)
    except s3_reader.LOST:
        return StoreUnavailable("objects")
    code_match = re.search(rb"<Code>(\w+)</Code>", body)
    code = code_match[1].decode() if code_match else response.getheader("x-minio-error-code") or ""
    unknown = StoreUnavailable("objects", f"The object store answers {response.status} {code}.")
    return _condition(code, response.status, subject) or unknown


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _unquoted(etag: str) -> str:
    return etag.strip('"')


def _info(entry: dict[str, Any]) -> ObjectInfo:
    modified_at: datetime = entry["LastModified"]
    # Whole seconds, as in the response to HEAD.
    return ObjectInfo(
        entry["Key"], entry["Size"], _unquoted(entry["ETag"]), modified_at.astimezone(UTC).replace(microsecond=0)
    )


def _sendable(body: bytes | bytearray | memoryview) -> bytes | bytearray:
    """Return the body in a form that botocore accepts: not a view, but the object that a view shows all of."""
    if not isinstance(body, memoryview):
        return body
    whole = body.obj
    if isinstance(whole, bytes | bytearray) and len(whole) == body.nbytes and body.contiguous:
        return whole
    return body.tobytes()
