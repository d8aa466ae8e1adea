package apiserver

import (
	"slices"
	"sync/atomic"

	"github.com/proa-dev/proa/internal/access"
)

// limit bounds how many requests of a kind are under way at a time.
type limit struct {
	most int64 // none if negative
	now  atomic.Int64
}

// enter tells whether a user's request may begin; leave ends it. Administrators always get an answer.
func (l *limit) enter(u *access.User) bool {
	if now := l.now.Add(1); l.most < 0 || now <= l.most || slices.Contains(u.Groups, access.MastersGroup) {
		return true
	}
	l.now.Add(-1)
	return false
}

func (l *limit) leave() { l.now.Add(-1) }
