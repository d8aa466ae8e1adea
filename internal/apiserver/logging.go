package apiserver

import "log/slog"

// LevelRequests is the level of one line a request.
const LevelRequests = slog.LevelDebug + 1
