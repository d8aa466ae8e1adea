package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"

	"github.com/proa-dev/proa/test/bench/load"
	"github.com/proa-dev/proa/test/bench/server"
)

// etcdBatch is how many objects are put in one transaction; etcd takes 128 at most.
const etcdBatch = 100

// etcdPut is a write as etcd's JSON gateway takes it: keys and values are base64, as []byte is in JSON.
type etcdPut struct {
	RequestPut etcdPair `json:"request_put"`
}

type etcdPair struct {
	Key   []byte `json:"key"`
	Value []byte `json:"value"`
}

var storedUID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// fillEtcd puts objects into the peer's store, behind kube-apiserver's back, which takes them for writes of
// another kube-apiserver. They are copies of the first that was made as users do: name and uid are of one length
// in all, so that they can be replaced in the bytes.
func fillEtcd(s *server.Server, from, to int) error {
	const prefix = "/registry/configmaps/" + fillNamespace + "/"
	first, err := fromEtcd(s.Etcd, prefix+fillName(0))
	if err != nil {
		return err
	}
	for from < to {
		var puts []etcdPut
		for end := min(from+etcdBatch, to); from < end; from++ {
			value := bytes.ReplaceAll(first, []byte(fillName(0)), []byte(fillName(from)))
			uid := fmt.Appendf(nil, "%08x-0000-4000-8000-000000000000", from)
			puts = append(puts, etcdPut{etcdPair{[]byte(prefix + fillName(from)), storedUID.ReplaceAllLiteral(value, uid)}})
		}
		if err := askEtcd(s.Etcd+"/v3/kv/txn", map[string]any{"success": puts}, nil); err != nil {
			return err
		}
	}
	return untilCached(s, to-1)
}

func fromEtcd(url, key string) ([]byte, error) {
	var answer struct{ Kvs []etcdPair }
	if err := askEtcd(url+"/v3/kv/range", map[string]any{"key": []byte(key)}, &answer); err != nil {
		return nil, err
	}
	if len(answer.Kvs) != 1 {
		return nil, fmt.Errorf("etcd has no %s", key)
	}
	return answer.Kvs[0].Value, nil
}

func askEtcd(url string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	res, err := http.Post(url, load.JSON, bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("etcd: %s: %.300s", res.Status, data)
	}
	if err != nil || answer == nil {
		return err
	}
	return json.Unmarshal(data, answer)
}

// untilCached waits until kube-apiserver's cache, which follows its store, has an object.
func untilCached(s *server.Server, n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), restartTimeout)
	defer cancel()
	for {
		_, err := load.Once(ctx, s, http.MethodGet, fillPath(n)+"?resourceVersion=0", nil)
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(time.Second)
	}
}
