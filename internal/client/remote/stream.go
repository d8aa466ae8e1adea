package remote

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/proa-dev/proa/internal/client"
)

// stream reads the events of a watch. In protobuf each is a frame: its length in four bytes, then a
// metav1.WatchEvent; in JSON each is a line.
type stream struct {
	body      io.ReadCloser
	cancel    context.CancelFunc
	reader    *bufio.Reader
	mediaType string
	empty     func() client.Object
	err       error // that ended the stream, after all events were handed out
}

const (
	readBuffer = 16 << 10
	maxFrame   = 256 << 20 // what is larger is not a frame
)

func newStream(res *http.Response, cancel context.CancelFunc, empty func() client.Object) *stream {
	return &stream{
		body: res.Body, cancel: cancel, reader: bufio.NewReaderSize(res.Body, readBuffer),
		mediaType: mediaType(res), empty: empty,
	}
}

// Stop ends the stream; a Next that waits returns.
func (s *stream) Stop() {
	s.cancel()
	_ = s.body.Close()
}

// Next waits for an event and returns it with those that have arrived with it.
func (s *stream) Next() ([]client.Event, error) {
	if s.err != nil {
		return nil, s.err
	}
	var events []client.Event
	for {
		event, err := s.next()
		if err != nil {
			s.err = err
			break
		}
		events = append(events, event)
		if !s.ready() {
			return events, nil
		}
	}
	if len(events) == 0 {
		return nil, s.err
	}
	return events, nil
}

func (s *stream) next() (client.Event, error) {
	frame, err := s.frame()
	if err != nil {
		return client.Event{}, err
	}
	kind, object, err := s.open(frame)
	if err != nil {
		return client.Event{}, fmt.Errorf("decode event: %w", err)
	}
	if kind == watch.Error {
		return client.Event{}, s.reason(object)
	}
	o, err := decodeObject(s.mediaType, object, s.empty)
	if err != nil {
		return client.Event{}, fmt.Errorf("decode event: %w", err)
	}
	return client.Event{Type: kind, Object: o}, nil
}

// reason is the error that ends a watch.
func (s *stream) reason(object []byte) error {
	status := statusOf(s.mediaType, object)
	if status == nil {
		return errors.New("the server ended the watch with an error of an unknown kind")
	}
	return &apierrors.StatusError{ErrStatus: *status}
}

func (s *stream) frame() ([]byte, error) {
	if s.mediaType != mediaProtobuf {
		return s.line()
	}
	var size [4]byte
	if _, err := io.ReadFull(s.reader, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxFrame {
		return nil, fmt.Errorf("an event of %d bytes", n)
	}
	frame := make([]byte, n)
	if _, err := io.ReadFull(s.reader, frame); err != nil {
		return nil, unexpected(err)
	}
	return frame, nil
}

func (s *stream) line() ([]byte, error) {
	for {
		line, err := s.reader.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			if err != nil {
				return nil, unexpected(err)
			}
			return line, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// unexpected is the error of a read that ended within an event.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// ready tells whether a whole event can be read without waiting.
func (s *stream) ready() bool {
	buffered, _ := s.reader.Peek(s.reader.Buffered())
	if s.mediaType != mediaProtobuf {
		return bytes.IndexByte(buffered, '\n') > 0
	}
	return len(buffered) >= 4 && uint64(len(buffered)-4) >= uint64(binary.BigEndian.Uint32(buffered))
}

// open takes an event apart.
func (s *stream) open(frame []byte) (kind watch.EventType, object []byte, err error) {
	if s.mediaType != mediaProtobuf {
		var e struct {
			Type   watch.EventType `json:"type"`
			Object rawJSON         `json:"object"`
		}
		err = unmarshalJSON(frame, &e)
		return e.Type, e.Object, err
	}
	err = fields(frame, func(number uint64, value []byte) error {
		switch number {
		case 1:
			kind = watch.EventType(value)
		case 2:
			return fields(value, func(number uint64, value []byte) error {
				if number == 1 {
					object = value
				}
				return nil
			})
		}
		return nil
	})
	return kind, object, err
}
