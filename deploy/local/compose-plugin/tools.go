//go:build tools

// Carries the version of docker compose that install-deps builds. A plain `go install` of it fails: its module
// excludes versions. After a change: `go get github.com/docker/compose/v2@VERSION && go mod tidy`.
package tools

import _ "github.com/docker/compose/v2/cmd"
