// Package ports gives tests ports that are theirs: nobody gets one while the test has closed it, be it before a server
// takes it or while one restarts. A port that the system chose is anybody's again as soon as it is closed.
package ports

import (
	"errors"
	"net"
	"os"
	"strconv"
	"sync/atomic"
)

// Systems choose from above these; Linux begins at 32768.
const first, count = 10_000, 20_000

var taken atomic.Uint32

// Free returns a port of the loopback interface that this process has not had before. Processes begin far from each
// other.
func Free() (string, error) {
	for range count {
		port := strconv.Itoa(first + (os.Getpid()*100+int(taken.Add(1)))%count)
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			return port, l.Close()
		}
	}
	return "", errors.New("no port is free")
}
