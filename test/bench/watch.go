package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/proa-dev/proa/test/bench/load"
	"github.com/proa-dev/proa/test/bench/server"
)

// watched has some writers change an object each, and all of many watchers see it.
func watched(watchers int, work load.Work) func(*server.Server) load.Outcome {
	return func(s *server.Server) load.Outcome {
		ctx := context.Background()
		names, from, err := makeWatched(ctx, s, work.Workers)
		if err != nil {
			return load.Outcome{Err: err}
		}
		w, err := load.Watch(ctx, s, slices.Repeat([]string{configMaps + "?watch=1&labelSelector=watched&resourceVersion=" + from}, watchers))
		if err != nil {
			return load.Outcome{Err: err}
		}
		defer w.Close()
		return w.Measure(s, work, watchers, touch(names))
	}
}

// makeWatched makes an object for each writer, and says from which revision on there will be changes.
func makeWatched(ctx context.Context, s *server.Server, writers int) (names []string, from string, err error) {
	for i := range writers {
		name := fmt.Sprintf("watched-%d-%d", time.Now().UnixNano(), i)
		made, err := load.Once(ctx, s, http.MethodPost, configMaps,
			fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s","labels":{"watched":"yes"}},"data":{"sent":"0"}}`, name))
		if err == nil {
			from, err = revisionOf(made)
		}
		if err != nil {
			return nil, "", err
		}
		names = append(names, name)
	}
	return names, from, nil
}

// touch writes into the worker's object when it was sent.
func touch(names []string) load.Operation {
	return func(ctx context.Context, c *load.Client, worker, _ int, buf *bytes.Buffer) error {
		body := fmt.Appendf(nil, `{"data":{"sent":"%d"}}`, time.Now().UnixNano())
		return c.Do(ctx, http.MethodPatch, configMaps+"/"+names[worker], load.JSON, body, buf)
	}
}
