//go:build linux && !race

package http2

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// Direct makes a listener's TCP connections read and write by plain system calls, without telling Go's scheduler.
//
// Go takes the processor away from whoever is in a system call for more than some microseconds, and has a thread that
// looks for that every 20 µs for as long as it finds some: on a busy server a twentieth of all its CPU. But a socket that
// does not block is done in less, so there is nothing to take. Where no system call is announced that thread sleeps.
//
// At most one goroutine may read a connection at a time, and one write, which is how tls.Conn uses what it stands on.
// The race detector learns of the order of things from what is announced, so there is no such listener with it.
func Direct(l net.Listener) net.Listener { return directListener{l} }

type directListener struct{ net.Listener }

// Accept implements net.Listener.
func (l directListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c, nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c, nil
	}
	d := &directConn{TCPConn: tcp, raw: raw}
	d.reading.number, d.writing.number = syscall.SYS_READ, syscall.SYS_WRITE
	d.read, d.write = d.reading.call, d.writing.call
	return d, nil
}

// directConn is a connection whose socket is used directly, once the runtime's poller says that it is ready.
type directConn struct {
	*net.TCPConn
	raw              syscall.RawConn
	reading, writing transfer
	read, write      func(fd uintptr) bool // the call methods of those two
}

// transfer is a system call that moves bytes.
type transfer struct {
	number uintptr
	p      []byte
	n      int
	errno  syscall.Errno
}

// call carries it out, and tells whether it is over: it is not if the socket has to be waited for.
func (t *transfer) call(fd uintptr) bool {
	for {
		n, _, errno := syscall.RawSyscall(t.number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(t.p))), uintptr(len(t.p)))
		switch errno {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		case 0:
			t.n, t.errno = int(n), 0
		default:
			t.n, t.errno = 0, errno
		}
		return true
	}
}

// Read implements net.Conn.
func (c *directConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	t := &c.reading
	t.p = p
	err := c.raw.Read(c.read)
	t.p = nil
	switch {
	case err != nil:
		return 0, dressed("read", err)
	case t.errno != 0:
		return 0, c.failed("read", t.errno)
	case t.n == 0:
		return 0, io.EOF
	}
	return t.n, nil
}

// Write implements net.Conn.
func (c *directConn) Write(p []byte) (written int, err error) {
	t := &c.writing
	defer func() { t.p = nil }()
	for written < len(p) {
		t.p = p[written:]
		if err := c.raw.Write(c.write); err != nil {
			return written, dressed("write", err)
		}
		if t.errno != 0 {
			return written, c.failed("write", t.errno)
		}
		written += t.n
	}
	return written, nil
}

// dressed gives the poller's error as package net does, which tells of a raw read or write here.
func dressed(op string, err error) error {
	if e, ok := err.(*net.OpError); ok {
		e.Op = op
	}
	return err
}

// failed dresses the socket's error likewise.
func (c *directConn) failed(op string, errno syscall.Errno) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, errno)}
}
