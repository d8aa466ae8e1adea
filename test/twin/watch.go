package twin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// watch is one that runs beside the requests.
type watch struct {
	cancel   context.CancelFunc
	response *http.Response
	mu       sync.Mutex
	text     bytes.Buffer // guarded by mu; read and not yet written down
	at       time.Time    // guarded by mu; of the last bytes
	ended    bool         // guarded by mu
}

func (p *player) openWatch(ctx context.Context, s *step, path string) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	r, err := p.send(ctx, s, path, nil)
	if err != nil {
		cancel()
		return "", err
	}
	w := &watch{cancel: cancel, response: r, at: time.Now()}
	p.watches[s.watch] = w
	go w.read()
	return fmt.Sprintf("%d %s\n", r.StatusCode, r.Header.Get("Content-Type")), nil
}

func (w *watch) read() {
	defer w.response.Body.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := w.response.Body.Read(buffer)
		w.mu.Lock()
		w.text.Write(buffer[:n])
		w.at = time.Now()
		w.ended = err != nil
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// events writes down what a watch has sent since the last time. It waits for as many events as want has, if that is
// known, and then for more.
func (p *player) events(s *step, want string) (string, error) {
	w, ok := p.watches[s.watch]
	if !ok {
		return "", fmt.Errorf("no watch %q", s.watch)
	}
	expected, err := eventsIn(want)
	if err != nil {
		return "", err
	}
	media, begin := w.response.Header.Get("Content-Type"), time.Now()
	for {
		w.mu.Lock()
		done := w.ended || time.Since(w.at) > quiet && time.Since(p.acted) > quiet
		if done && !w.ended && time.Since(begin) < patience {
			_, _, value, _ := decodeBody(media, w.text.Bytes())
			all, _ := value.([]any)
			done = len(all) >= expected
		}
		if done {
			text := bytes.Clone(w.text.Bytes())
			w.text.Reset()
			w.mu.Unlock()
			r := *w.response
			r.Body = io.NopCloser(nil)
			return p.describe(s, &r, text)
		}
		w.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
	}
}

// eventsIn counts the events of an answer that was written down.
func eventsIn(answer string) (int, error) {
	if answer == "" {
		return 0, nil
	}
	_, value, err := parseAnswer(answer)
	all, _ := value.([]any)
	return len(all), err
}
