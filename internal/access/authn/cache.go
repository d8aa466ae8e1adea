package authn

import (
	"context"
	"crypto/sha256"
	"strings"
	"sync"
	"time"
)

const (
	// cacheLife is how long a token stays good without another look. What a token is bound to may go in
	// that time.
	cacheLife = 10 * time.Second
	// cacheSize is when entries that ended are swept out, and then, if need be, all.
	cacheSize = 10_000
)

// Cache remembers valid tokens for a few seconds, so that a client's next request does not cost another
// signature. It keeps hashes, never tokens.
type Cache struct {
	tokens Tokens
	mu     sync.RWMutex
	good   map[cacheKey]cached // guarded by mu
}

type cacheKey struct {
	token     [sha256.Size]byte
	audiences string
}

type cached struct {
	*Verified
	until time.Time
}

var _ Tokens = (*Cache)(nil)

// NewCache returns a cache in front of tokens.
func NewCache(tokens Tokens) *Cache {
	return &Cache{tokens: tokens, good: map[cacheKey]cached{}}
}

// Verify implements Tokens. Only what is valid is remembered.
func (c *Cache) Verify(ctx context.Context, token string, audiences []string) (*Verified, error) {
	key := cacheKey{sha256.Sum256([]byte(token)), joined(audiences)}
	c.mu.RLock()
	hit, ok := c.good[key]
	c.mu.RUnlock()
	now := time.Now()
	if ok && now.Before(hit.until) {
		return hit.Verified, nil
	}
	v, err := c.tokens.Verify(ctx, token, audiences)
	if v == nil || err != nil {
		return v, err
	}
	until := now.Add(cacheLife)
	if !v.Until.IsZero() && v.Until.Before(until) {
		until = v.Until
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.good) >= cacheSize {
		c.sweep(now)
	}
	c.good[key] = cached{v, until}
	return v, nil
}

func (c *Cache) sweep(now time.Time) {
	for key, e := range c.good {
		if !now.Before(e.until) {
			delete(c.good, key)
		}
	}
	if len(c.good) >= cacheSize {
		clear(c.good)
	}
}

// joined makes a key of audiences, the usual single one without copying.
func joined(audiences []string) string {
	if len(audiences) == 1 {
		return audiences[0]
	}
	return strings.Join(audiences, "\x00")
}
