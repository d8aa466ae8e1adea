package etcd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// calls stands between a server and a member too, but knows gRPC: it loses the request or the answer of one call,
// and leaves all others alone. So a test says what is lost instead of trying its luck.
type calls struct {
	url    string
	member *grpc.ClientConn

	mu sync.Mutex
	// key is in the requests whose fate is decided; nil is none. guarded by mu, as is what follows
	key  []byte
	fate fate
	met  int // how many transactions had that fate
	// forgets is that events come without their previous values; set before the first call
	forgets bool
}

// fate is what becomes of a transaction. Answers are lost of those that did something: not of one that met another
// state than it expected, upon which a server tries again.
type fate string

const (
	requestLost fate = "request lost"
	answerLost  fate = "answer lost"
)

func startCalls(t testing.TB, target string) *calls {
	t.Helper()
	member, err := grpc.NewClient(strings.TrimPrefix(target, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &calls{url: "http://" + l.Addr().String(), member: member}
	server := grpc.NewServer(grpc.ForceServerCodecV2(raw{}), grpc.UnknownServiceHandler(c.pass))
	go server.Serve(l)
	t.Cleanup(func() {
		server.Stop()
		member.Close()
	})
	return c
}

// lose decides the fate of transactions that name the key, until the key is nil.
func (c *calls) lose(f fate, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.key, c.fate, c.met = []byte(key), f, 0
}

// lost is how many transactions have met their fate.
func (c *calls) lost() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.met
}

// spare lets everything through again, and tells how many transactions met their fate.
func (c *calls) spare() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.key = nil
	return c.met
}

// concerns tells whether a request's fate is decided.
func (c *calls) concerns(method string, request []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.key != nil && method == "/etcdserverpb.KV/Txn" && bytes.Contains(request, c.key)
}

// meets tells whether a transaction of the request meets the fate.
func (c *calls) meets(f fate, answer []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	var txn pb.TxnResponse
	if c.fate != f || f == answerLost && (txn.Unmarshal(answer) != nil || !txn.Succeeded) {
		return false
	}
	c.met++
	return true
}

var errLost = status.Error(codes.Unavailable, "the connection broke")

// pass hands a call on.
func (c *calls) pass(_ any, in grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(in)
	header, _ := metadata.FromIncomingContext(in.Context())
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(in.Context(), header.Copy()))
	defer cancel()
	out, err := c.member.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method, grpc.ForceCodecV2(raw{}))
	if err != nil {
		return err
	}
	var first frame
	if err := in.RecvMsg(&first); err != nil {
		return err
	}
	concerned := c.concerns(method, first)
	if concerned && c.meets(requestLost, nil) {
		return errLost
	}
	go func() {
		for f := first; out.SendMsg(&f) == nil; {
			if err := in.RecvMsg(&f); err != nil {
				if errors.Is(err, io.EOF) {
					out.CloseSend()
				}
				return
			}
		}
	}()
	for {
		var f frame
		err := out.RecvMsg(&f)
		switch {
		case errors.Is(err, io.EOF):
			in.SetTrailer(out.Trailer())
			return nil
		case err != nil:
			return err
		case concerned && c.meets(answerLost, f):
			return errLost
		case c.forgets && method == "/etcdserverpb.Watch/Watch":
			if f, err = withoutPrevious(f); err != nil {
				return err
			}
		}
		if err := in.SendMsg(&f); err != nil {
			return err
		}
	}
}

// withoutPrevious is an answer of a watch whose events lack their previous values.
func withoutPrevious(f frame) (frame, error) {
	var answer pb.WatchResponse
	if err := answer.Unmarshal(f); err != nil {
		return nil, err
	}
	for _, e := range answer.Events {
		e.PrevKv = nil
	}
	return answer.Marshal()
}

// frame is a message as it is on the wire.
type frame []byte

// raw leaves messages as they are.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*frame))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*frame) = data.Materialize()
	return nil
}
