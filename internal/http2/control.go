package http2

import (
	"context"
	"encoding/binary"
)

// priority frames are checked and ignored: RFC 9113 section 5.3.2 has given them up.
func (c *conn) priority(h frameHeader, p []byte) error {
	if err := onStream(h, "PRIORITY"); err != nil {
		return err
	}
	if len(p) != priorityFieldSize {
		return streamError{h.stream, codeFrameSize}
	}
	if binary.BigEndian.Uint32(p)&largestStream == h.stream {
		return streamError{h.stream, codeProtocol}
	}
	return nil
}

// resetByClient ends a request that the client gave up. Its handler is told, and may still be at work.
func (c *conn) resetByClient(h frameHeader, p []byte) error {
	if err := onStream(h, "RST_STREAM"); err != nil {
		return err
	}
	if len(p) != 4 {
		return connError{codeFrameSize, "RST_STREAM of a wrong size"}
	}
	c.mu.Lock()
	st := c.streams[h.stream]
	never := h.stream > c.newest
	if st != nil {
		c.end(st, errReset)
	} else {
		c.forgetReset(h.stream) // now it knows
	}
	c.mu.Unlock()
	switch {
	case never:
		return connError{codeProtocol, "RST_STREAM on a stream that was never opened"}
	case st != nil:
		st.cancel(context.Canceled)
	}
	return nil
}

func (c *conn) ping(h frameHeader, p []byte) error {
	if err := onConnection(h, "PING"); err != nil {
		return err
	}
	if len(p) != 8 {
		return connError{codeFrameSize, "PING of a wrong size"}
	}
	if h.has(flagAck) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.output()
	o.b = appendFrameHeader(o.b, len(p), framePing, flagAck, 0)
	o.b = append(o.b, p...)
	c.flushAside()
	return c.owe()
}

func (c *conn) settings(h frameHeader, p []byte) error {
	if err := onConnection(h, "SETTINGS"); err != nil {
		return err
	}
	if h.has(flagAck) {
		if len(p) != 0 {
			return connError{codeFrameSize, "an acknowledgement with settings"}
		}
		return nil
	}
	if len(p)%settingSize != 0 {
		return connError{codeFrameSize, "SETTINGS of a wrong size"}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for ; len(p) > 0; p = p[settingSize:] {
		if err := c.set(setting{binary.BigEndian.Uint16(p), binary.BigEndian.Uint32(p[2:])}); err != nil {
			return err
		}
	}
	o := c.output()
	o.b = appendFrameHeader(o.b, 0, frameSettings, flagAck, 0)
	c.flushAside()
	return c.owe()
}

// set does what the client wishes. Caller holds mu.
func (c *conn) set(s setting) error {
	switch s.id {
	case settingHeaderTableSize:
		c.enc.SetMaxDynamicTableSize(min(s.value, defaultTableSize))
	case settingEnablePush:
		if s.value > 1 {
			return connError{codeProtocol, "ENABLE_PUSH is 0 or 1"}
		}
	case settingInitialWindow:
		if s.value > largestWindow {
			return connError{codeFlowControl, "an initial window that is too large"}
		}
		change := int64(s.value) - c.initialWindow
		c.initialWindow = int64(s.value)
		for _, st := range c.streams {
			if st.window += change; st.window > largestWindow {
				return connError{codeFlowControl, "a window that is too large"}
			}
		}
		c.unblock()
	case settingMaxFrame:
		if s.value < defaultMaxFrame || s.value > largestFrame {
			return connError{codeProtocol, "a frame size that is out of bounds"}
		}
		c.maxFrame = int(min(s.value, outputLimit))
	}
	return nil
}

func (c *conn) windowUpdate(h frameHeader, p []byte) error {
	if len(p) != 4 {
		return connError{codeFrameSize, "WINDOW_UPDATE of a wrong size"}
	}
	n := int64(binary.BigEndian.Uint32(p) & largestWindow)
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.stream == 0 {
		if n == 0 {
			return connError{codeProtocol, "a window that does not grow"}
		}
		if c.window += n; c.window > largestWindow {
			return connError{codeFlowControl, "a window that is too large"}
		}
		c.unblock()
		return nil
	}
	st := c.streams[h.stream]
	switch {
	case st == nil && h.stream > c.newest:
		return connError{codeProtocol, "WINDOW_UPDATE on a stream that was never opened"}
	case n == 0: // wrong by itself, whether its stream has come to its end or not
		return streamError{h.stream, codeProtocol}
	case st == nil:
		return nil
	}
	if st.window += n; st.window > largestWindow {
		return streamError{h.stream, codeFlowControl}
	}
	st.cond.Broadcast()
	return nil
}
