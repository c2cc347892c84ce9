// Package log takes a logger for a client that is not there.
package log

import "log/slog"

// SetDefault forgets it.
func SetDefault(*slog.Logger) {}
