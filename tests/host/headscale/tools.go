//go:build tools

// Package headscale pins the coordination server of the tests' tailnet: go.sum is the checksum of every module that
// script/build-tailnet compiles.
package headscale

import _ "github.com/juanfont/headscale/cmd/headscale"
