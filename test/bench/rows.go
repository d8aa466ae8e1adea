package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// How much each row does. A round takes about a minute and a half on two cores, most of it the peer's.
const (
	workers      = 16
	creates      = 5000
	gets         = 20000
	leaseUpdates = 5000
	bigLists     = 10
	smallLists   = 300
	labelled     = 50 // pods of all that have the label
	idleFor      = 10 * time.Second
	settle       = 3 * time.Second
)

const (
	jsonType     = "application/json"
	protobufType = "application/vnd.kubernetes.protobuf"
	namespace    = "bench"
)

// row is a line of the table. Rows run in order, on servers that earlier rows have filled.
type row struct {
	name string
	unit string // "" is server CPU per operation
	run  func(s *server) outcome
}

var rows = []row{
	{name: "start to /readyz", unit: "ms", run: func(s *server) outcome {
		return outcome{value: float64(s.ready.Microseconds()) / 1000}
	}},
	{name: "memory idle, anonymous", unit: "MB", run: func(s *server) outcome { time.Sleep(settle); return memory(s, true) }},
	{name: "memory idle, resident", unit: "MB", run: func(s *server) outcome { return memory(s, false) }},
	{name: "idle CPU", unit: "% of a core", run: idle},
	{name: "create ConfigMap, 1 KB, JSON", run: prepared(createConfigMaps)},
	{name: "create Pod, 1.2 KB, JSON", run: createPods},
	{name: "GET one pod, JSON", run: func(s *server) outcome {
		return drive(s, workers, gets, func(ctx context.Context, c *client, _, n int, buf *bytes.Buffer) error {
			return c.do(ctx, http.MethodGet, fmt.Sprintf("/api/v1/namespaces/%s/pods/pod-%d", namespace, n%creates), jsonType, nil, buf)
		})
	}},
	{name: "update Lease, JSON", run: updateLeases},
	{name: "LIST 5,000 pods, JSON", run: list(bigLists, "", jsonType)},
	{name: "LIST 5,000 pods, protobuf", run: list(bigLists, "", protobufType)},
	{name: "LIST by label, 50 of 5,000", run: list(smallLists, "?labelSelector=pick%3Dme", jsonType)},
	{name: "watch: one event to one of 200 watchers", run: watchers},
	{name: "memory with 5,000 pods and 5,000 ConfigMaps, anonymous", unit: "MB", run: func(s *server) outcome { time.Sleep(settle); return memory(s, true) }},
	{name: "memory with 5,000 pods and 5,000 ConfigMaps, resident", unit: "MB", run: func(s *server) outcome { return memory(s, false) }},
}

func memory(s *server, anonymous bool) outcome {
	a, r, err := s.memory()
	if !anonymous {
		a = r
	}
	return outcome{value: float64(a) / 1e6, err: err}
}

func idle(s *server) outcome {
	before, err := s.cpu()
	if err != nil {
		return outcome{err: err}
	}
	time.Sleep(idleFor)
	after, err := s.cpu()
	return outcome{value: 100 * float64(after-before) / float64(idleFor), err: err}
}

// prepared makes the namespace and its service account first.
func prepared(run func(*server) outcome) func(*server) outcome {
	return func(s *server) outcome {
		clients, err := newClients(s, 1)
		if err != nil {
			return outcome{err: err}
		}
		defer closeAll(clients)
		body := []byte(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"` + namespace + `"}}`)
		if err := clients[0].do(context.Background(), http.MethodPost, "/api/v1/namespaces", jsonType, body, new(bytes.Buffer)); err != nil {
			return outcome{err: err}
		}
		// Nothing else makes it where the API server is alone, and pods need it.
		body = []byte(`{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}}`)
		if err := clients[0].do(context.Background(), http.MethodPost, "/api/v1/namespaces/"+namespace+"/serviceaccounts", jsonType, body, new(bytes.Buffer)); err != nil {
			return outcome{err: err}
		}
		return run(s)
	}
}

func createConfigMaps(s *server) outcome {
	filler := strings.Repeat("x", 900)
	return drive(s, workers, creates, func(ctx context.Context, c *client, _, n int, buf *bytes.Buffer) error {
		body := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"map-%d","namespace":"%s"},"data":{"key":"%s"}}`, n, namespace, filler)
		return c.do(ctx, http.MethodPost, "/api/v1/namespaces/"+namespace+"/configmaps", jsonType, []byte(body), buf)
	})
}

func createPods(s *server) outcome {
	return drive(s, workers, creates, func(ctx context.Context, c *client, _, n int, buf *bytes.Buffer) error {
		return c.do(ctx, http.MethodPost, "/api/v1/namespaces/"+namespace+"/pods", jsonType, podBody(n), buf)
	})
}

// podBody is a pod of about 1.2 KB, as a controller would make it.
func podBody(n int) []byte {
	pick := "no"
	if n%(creates/labelled) == 0 {
		pick = "me"
	}
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"pod-%d","namespace":"%s","labels":{"app":"bench","pick":"%s",`+
		`"pod-template-hash":"6c5f67b5f7"},"annotations":{"note":"%s"}},"spec":{"serviceAccountName":"default","automountServiceAccountToken":false,`+
		`"containers":[{"name":"web","image":"registry.example/web:1.27.3","ports":[{"name":"http","containerPort":8080,"protocol":"TCP"}],`+
		`"env":[{"name":"MODE","value":"production"},{"name":"ZONE","value":"a"}],"resources":{"requests":{"cpu":"100m","memory":"128Mi"},`+
		`"limits":{"memory":"256Mi"}},"readinessProbe":{"httpGet":{"path":"/ready","port":8080},"periodSeconds":5},`+
		`"volumeMounts":[{"name":"data","mountPath":"/data"}]},{"name":"sidecar","image":"registry.example/proxy:2.1","args":["--quiet"]}],`+
		`"volumes":[{"name":"data","emptyDir":{}}],"tolerations":[{"key":"dedicated","operator":"Equal","value":"web","effect":"NoSchedule"}]}}`,
		n, namespace, pick, strings.Repeat("n", 120))
}

var revision = regexp.MustCompile(`"resourceVersion":"(\d+)"`)

// updateLeases is heartbeats: each worker renews a lease of its own.
func updateLeases(s *server) outcome {
	revisions := make([]string, workers)
	path := "/apis/coordination.k8s.io/v1/namespaces/" + namespace + "/leases"
	body := func(worker, n int) []byte {
		return fmt.Appendf(nil, `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"lease-%d","namespace":"%s","resourceVersion":"%s"},`+
			`"spec":{"holderIdentity":"node-%d","leaseDurationSeconds":40,"renewTime":"2026-01-01T00:00:00.%06dZ"}}`,
			worker, namespace, revisions[worker], worker, n)
	}
	remember := func(worker int, buf *bytes.Buffer) error {
		m := revision.FindSubmatch(buf.Bytes())
		if m == nil {
			return fmt.Errorf("no resourceVersion in %.200s", buf.Bytes())
		}
		revisions[worker] = string(m[1])
		return nil
	}
	clients, err := newClients(s, 1)
	if err != nil {
		return outcome{err: err}
	}
	defer closeAll(clients)
	for w := range workers {
		var buf bytes.Buffer
		err := clients[0].do(context.Background(), http.MethodPost, path, jsonType, body(w, 0), &buf)
		if err == nil {
			err = remember(w, &buf)
		}
		if err != nil {
			return outcome{err: err}
		}
	}
	return drive(s, workers, leaseUpdates, func(ctx context.Context, c *client, worker, n int, buf *bytes.Buffer) error {
		if err := c.do(ctx, http.MethodPut, fmt.Sprintf("%s/lease-%d", path, worker), jsonType, body(worker, n+1), buf); err != nil {
			return err
		}
		return remember(worker, buf)
	})
}

func list(times int, query, accept string) func(*server) outcome {
	return func(s *server) outcome {
		return drive(s, 2, times, func(ctx context.Context, c *client, _, _ int, buf *bytes.Buffer) error {
			return c.do(ctx, http.MethodGet, "/api/v1/namespaces/"+namespace+"/pods"+query, accept, nil, buf)
		})
	}
}
