"""Choose the object store that the settings name."""

from __future__ import annotations

from nebula.config import Settings
from nebula.storage.contract import ObjectStorage
from nebula.storage.directory import DirectoryStorage
from nebula.storage.s3 import S3Storage


def open_storage(settings: Settings) -> ObjectStorage:
    """Return the store. Nothing is sent to it yet (`prepare` creates the bucket or the folders)."""
    if not settings.s3_endpoint:
        return DirectoryStorage(settings.objects_dir)
    return S3Storage(
        settings.s3_endpoint,
        settings.s3_bucket,
        settings.s3_access_key,
        settings.s3_secret_key,
        region=settings.s3_region,
        sync_dir=settings.s3_sync_dir,
    )
