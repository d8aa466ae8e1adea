package http2

import (
	"sync"
	"time"
)

const (
	// outputLimit is how much output may wait for the writer before handlers wait, too.
	outputLimit = 64 << 10
	// keptBuffer is the largest output buffer that is used again.
	keptBuffer = 2 * outputLimit
	// writerTurns is how many writes a handler does for others before it goes on with its own work.
	writerTurns = 8
	// flushEvery is how often, at most, answers that go on cause a write.
	flushEvery = time.Millisecond
	// mostOwed bounds the answers to pings, settings and broken streams that the client does not take.
	mostOwed = 1000
)

// buffer is what waits to be written.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, 4<<10)} }}

func (b *buffer) free() {
	if cap(b.b) > keptBuffer {
		return
	}
	b.b = b.b[:0]
	buffers.Put(b)
}

// output is where frames are appended. Caller holds mu.
func (c *conn) output() *buffer {
	if c.out == nil {
		c.out = buffers.Get().(*buffer)
	}
	return c.out
}

// drop throws the output away. Caller holds mu.
func (c *conn) drop() {
	if c.out != nil {
		c.out.free()
		c.out = nil
	}
}

// owe notes that a frame in the output was caused by the client alone. Caller holds mu.
func (c *conn) owe() error {
	c.owed++
	if c.owed > mostOwed {
		return connError{codeEnhanceYourCalm, "too many frames that want an answer, and no answer taken"}
	}
	return nil
}

// flush has the output written: by the caller, unless somebody is at it, who then takes it along. Caller holds
// mu, which is released meanwhile.
func (c *conn) flush() {
	if c.writing {
		return
	}
	c.writing = true
	for turn := 0; c.out != nil && c.err == nil; turn++ {
		if turn == writerTurns {
			go c.goOnWriting()
			return
		}
		c.writeOut()
	}
	c.endWriting()
}

// flushAside has the output written, by another goroutine if nobody is at it. Caller holds mu.
func (c *conn) flushAside() {
	if c.writing || c.out == nil {
		return
	}
	c.writing = true
	go c.goOnWriting()
}

// flushSoon is flush, or flushAside, for an answer that goes on. What comes after a pause is written at once, and then
// nothing for flushEvery, so that the news of many watches, and the next news of one, go out together.
func (c *conn) flushSoon(flush func()) {
	if c.writing || c.out == nil || c.flushDue {
		return
	}
	now := time.Now()
	if pause := now.Sub(c.flushed); pause < flushEvery {
		c.flushDue = true
		if c.flushTimer == nil {
			c.flushTimer = time.AfterFunc(flushEvery-pause, c.flushNow)
		} else {
			c.flushTimer.Reset(flushEvery - pause)
		}
		return
	}
	c.flushed = now
	flush()
}

// flushNow is what flushSoon has put off.
func (c *conn) flushNow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flushDue, c.flushed = false, time.Now()
	c.flush()
}

// goOnWriting is the writer's work without its handler.
func (c *conn) goOnWriting() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.out != nil && c.err == nil {
		c.writeOut()
	}
	c.endWriting()
}

// writeOut writes what there is. The caller is the writer and holds mu, which is released meanwhile.
func (c *conn) writeOut() {
	o := c.out
	c.out, c.owed = nil, 0
	c.mu.Unlock()
	_, err := c.net.Write(o.b)
	o.free()
	c.mu.Lock()
	c.writes++
	if err != nil {
		// The streams learn of it from the reader, which fails as well once the connection is closed.
		c.err = err
		go c.net.Close()
	}
	c.unblock()
	for st, again := range c.refused {
		delete(c.refused, st)
		again()
	}
}

func (c *conn) endWriting() {
	c.writing = false
	if c.err != nil {
		c.drop()
	}
	c.written.Broadcast()
	c.leave()
}

// unblock wakes the handlers that wait for room in the output or in a window. Caller holds mu.
func (c *conn) unblock() {
	for st := range c.blocked {
		st.cond.Broadcast()
	}
}

// send appends data to the answer, in as many frames as it takes, and waits for room where there is none. With
// end the answer is complete.
func (st *stream) send(data []byte, end bool) error {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if err := st.mayWrite(); err != nil {
			return err
		}
		n := int(min(int64(len(data)), st.window, c.window, int64(c.maxFrame)))
		if n <= 0 && len(data) > 0 {
			c.flush()
			st.waitFor(func() bool { return st.window > 0 && c.window > 0 })
			continue
		}
		if c.out != nil && len(c.out.b) >= outputLimit {
			if c.writing {
				st.waitFor(func() bool { return c.out == nil || len(c.out.b) < outputLimit })
			} else {
				c.flush()
			}
			continue
		}
		flags := byte(0)
		if n == len(data) && end {
			flags = flagEndStream
			st.localClosed = true
		}
		o := c.output()
		o.b = appendFrameHeader(o.b, n, frameData, flags, st.id)
		o.b = append(o.b, data[:n]...)
		st.window -= int64(n)
		c.window -= int64(n)
		if data = data[n:]; len(data) == 0 {
			return nil
		}
	}
}

// hasRoom tells whether the output has room, as it has for errors. If not, it has the output written, and again called.
func (st *stream) hasRoom(again func()) bool {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out == nil || len(c.out.b) < outputLimit || st.mayWrite() != nil {
		return true
	}
	c.refused[st] = again
	c.flushAside()
	return false
}

// trySend is send of all the data, without an end, or of nothing where the client makes no room for it.
func (st *stream) trySend(data []byte) (taken bool, err error) {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := st.mayWrite(); err != nil {
		return false, err
	}
	if int64(len(data)) > min(st.window, c.window) {
		return false, nil
	}
	st.window -= int64(len(data))
	c.window -= int64(len(data))
	o := c.output()
	for len(data) > 0 {
		n := min(len(data), c.maxFrame)
		o.b = appendFrameHeader(o.b, n, frameData, 0, st.id)
		o.b = append(o.b, data[:n]...)
		data = data[n:]
	}
	return true, nil
}

// waitFor waits until ready says so, the time that the request was given (Keep) is over, or the stream has come to its
// end. Caller holds mu.
func (st *stream) waitFor(ready func() bool) {
	if _, limited := st.Deadline(); limited {
		defer st.AfterFunc(st.tooLate)()
	}
	st.c.blocked[st] = struct{}{}
	for !ready() && st.mayWrite() == nil {
		st.cond.Wait()
	}
	delete(st.c.blocked, st)
}

// tooLate makes writing fail.
func (st *stream) tooLate() {
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	st.writeFailed.passed = true
	st.cond.Broadcast()
}
