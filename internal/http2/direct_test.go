package http2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// direct is both ends of a connection, the first of which is direct.
func direct(t *testing.T) (here net.Conn, there *net.TCPConn) {
	t.Helper()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Direct(plain)
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if here, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close() })
	return here, client.(*net.TCPConn)
}

// TestDirectCarries sends both ways at once more than sockets hold, so that either side has to wait for the other.
func TestDirectCarries(t *testing.T) {
	here, there := direct(t)
	content := func(salt byte) []byte {
		b := make([]byte, 8<<20)
		for i := range b {
			b[i] = byte(i>>8) ^ byte(i) ^ salt
		}
		return b
	}
	up, down := content(1), content(2)
	var all sync.WaitGroup
	// One failure ends all four, instead of leaving three to wait.
	giveUp := time.AfterFunc(time.Minute, func() { here.Close(); there.Close() })
	defer giveUp.Stop()
	send := func(c net.Conn, b []byte) {
		all.Go(func() {
			if n, err := c.Write(b); n != len(b) || err != nil {
				t.Errorf("wrote %d of %d bytes: %v", n, len(b), err)
			}
		})
	}
	receive := func(c net.Conn, want []byte) {
		all.Go(func() {
			got := make([]byte, len(want))
			if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d of %d bytes, equal %v: %v", n, len(want), bytes.Equal(got, want), err)
			}
		})
	}
	send(here, down)
	send(there, up)
	receive(here, up)
	receive(there, down)
	all.Wait()
}

// asNets tells whether an error says what package net says of the operation.
func asNets(op string, err error) bool {
	return strings.HasPrefix(fmt.Sprint(err), op+" tcp 127.0.0.1:")
}

func TestDirectEnds(t *testing.T) {
	one := make([]byte, 1)
	t.Run("the other side says so", func(t *testing.T) {
		here, there := direct(t)
		if err := there.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if n, err := here.Read(one); n != 0 || err != io.EOF {
			t.Errorf("read %d bytes: %v", n, err)
		}
	})
	t.Run("nothing is asked for", func(t *testing.T) {
		here, _ := direct(t)
		if n, err := here.Read(nil); n != 0 || err != nil {
			t.Errorf("read %d bytes: %v", n, err)
		}
	})
	t.Run("the other side is gone", func(t *testing.T) {
		here, there := direct(t)
		if err := errors.Join(there.SetLinger(0), there.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := here.Read(one); !errors.Is(err, syscall.ECONNRESET) || !asNets("read", err) {
			t.Errorf("read from a connection that was reset: %v", err)
		}
		if _, err := here.Write(one); !errors.Is(err, syscall.EPIPE) || !asNets("write", err) {
			t.Errorf("wrote to a connection that was reset: %v", err)
		}
	})
	t.Run("this side closes", func(t *testing.T) {
		here, _ := direct(t)
		go here.Close()
		if _, err := here.Read(one); !errors.Is(err, net.ErrClosed) || !asNets("read", err) {
			t.Errorf("read: %v", err)
		}
		if _, err := here.Write(one); !errors.Is(err, net.ErrClosed) || !asNets("write", err) {
			t.Errorf("write: %v", err)
		}
	})
	t.Run("time is over", func(t *testing.T) {
		here, _ := direct(t)
		if err := here.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		_, err := here.Read(one)
		if timeout, ok := err.(net.Error); !errors.Is(err, os.ErrDeadlineExceeded) || !ok || !timeout.Timeout() || !asNets("read", err) {
			t.Errorf("read: %v", err)
		}
		if err := here.SetWriteDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, err := here.Write(make([]byte, 64<<20)); n == 64<<20 || !errors.Is(err, os.ErrDeadlineExceeded) || !asNets("write", err) {
			t.Errorf("wrote %d bytes: %v", n, err)
		}
	})
}
