package ports

import (
	"net"
	"testing"
)

func TestNobodyGetsAPortTwice(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		port, err := Free()
		if err != nil || seen[port] {
			t.Fatalf("port %q, had before: %v, %v", port, seen[port], err)
		}
		seen[port] = true
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		other, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if _, chosen, _ := net.SplitHostPort(other.Addr().String()); seen[chosen] {
			t.Errorf("the system gives %s to whoever asks", chosen)
		}
	}
}
