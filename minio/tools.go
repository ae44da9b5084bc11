//go:build tools

// Package minio pins MinIO and its client, whose upstream publishes no binaries: go.sum is the checksum of every module
// that script/build-minio compiles.
package minio

import (
	_ "github.com/minio/mc"
	_ "github.com/minio/minio"
)
