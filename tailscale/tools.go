//go:build tools

// Package tailscale pins Tailscale for machines that cannot reach its apt repository: go.sum is the checksum of every
// module that script/build-tailscale compiles.
package tailscale

import (
	_ "tailscale.com/cmd/tailscale"
	_ "tailscale.com/cmd/tailscaled"
)
