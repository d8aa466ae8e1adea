package allocate

import (
	"math/bits"
	"math/rand/v2"
)

// pool is a set of numbers from a range. Those in use are bits in words that exist only where a bit is
// set, so a pool costs memory by what is taken, not by its range: an IPv6 range may have 2^64 numbers.
//
// A pool's lower part, below dynamic, is for those who ask for a number by name: any takes from there
// only when the rest is used up (KEP-3070).
type pool struct {
	first, last uint64 // both inside; first is at least 1
	low         uint64 // any never goes below
	dynamic     uint64 // low <= dynamic <= last
	words       map[uint64]uint64
}

func newPool(first, last, low, dynamic uint64) *pool {
	low = min(low, last)
	return &pool{first: first, last: last, low: low, dynamic: min(max(low, dynamic), last), words: map[uint64]uint64{}}
}

func (p *pool) contains(n uint64) bool { return p.first <= n && n <= p.last }

func (p *pool) taken(n uint64) bool { return p.words[n/64]&(1<<(n%64)) != 0 }

// take tells whether n was free. It must be contained.
func (p *pool) take(n uint64) bool {
	if p.taken(n) {
		return false
	}
	p.words[n/64] |= 1 << (n % 64)
	return true
}

// release does nothing if n is free or outside of the range.
func (p *pool) release(n uint64) {
	w, ok := p.words[n/64]
	if !ok {
		return
	}
	if w &^= 1 << (n % 64); w == 0 {
		delete(p.words, n/64)
	} else {
		p.words[n/64] = w
	}
}

// any takes some free number, from a random place on, so that a number just released is not soon used
// again by another. It reports false when all are taken.
func (p *pool) any() (uint64, bool) {
	start := p.dynamic + rand.Uint64N(p.last-p.dynamic+1)
	for _, part := range [...][2]uint64{{start, p.last}, {p.dynamic, start}, {p.low, p.dynamic}} {
		if n, ok := p.scan(part[0], part[1]); ok {
			p.take(n)
			return n, true
		}
	}
	return 0, false
}

// scan finds the lowest free number in [from, to].
func (p *pool) scan(from, to uint64) (uint64, bool) {
	for n := from; ; {
		free := ^p.words[n/64] >> (n % 64)
		if free != 0 {
			n += uint64(bits.TrailingZeros64(free))
			return n, n <= to
		}
		next := (n/64 + 1) * 64
		if next > to || next == 0 {
			return 0, false
		}
		n = next
	}
}

// count is how many numbers are taken.
func (p *pool) count() int {
	total := 0
	for _, w := range p.words {
		total += bits.OnesCount64(w)
	}
	return total
}
