package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/proa-dev/proa/test/bench/load"
	"github.com/proa-dev/proa/test/bench/server"
)

const (
	rolloutNodes = 100
	rolloutPods  = 2000
	// aftermath is how long after the last pod was ready CPU is still counted: events and statuses come late.
	aftermath      = 3 * time.Second
	rolloutTimeout = 5 * time.Minute
)

// rollout is a Deployment that grows: every loop of a control plane at work at once. The nodes are simulated on
// both sides, by kwok at the peer, and count as servers.
func rollout() suite {
	return suite{group: "whole control plane, 100 simulated nodes", shape: server.Shape{Whole: true, Nodes: rolloutNodes}, steps: func() []step {
		return []step{
			{run: prepareRollout(rolloutNodes), fills: true},
			{run: scaleUp, lines: []line{
				{name: "Deployment 0 -> 2,000 pods ready, time", unit: "s", figure: func(o load.Outcome) float64 { return o.Elapsed.Seconds() }},
				{name: "Deployment 0 -> 2,000 pods ready, CPU", unit: "CPU-s", figure: func(o load.Outcome) float64 { return o.CPU.Seconds() }},
				{name: "Deployment 0 -> 2,000 pods ready, written to disk", unit: "MB", figure: value},
			}},
		}
	}}
}

// prepareRollout waits for the nodes, and for controllers that have seen a Deployment without replicas.
func prepareRollout(nodes int) func(s *server.Server) load.Outcome {
	return func(s *server.Server) load.Outcome {
		if o := untilControllersWork(s); o.Err != nil {
			return o
		}
		if err := makeNodes(s); err != nil {
			return load.Outcome{Err: err}
		}
		if err := untilNodesReady(s, nodes); err != nil {
			return load.Outcome{Err: err}
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := load.Once(ctx, s, http.MethodPost, deployments, deployment("web")); err != nil {
			return load.Outcome{Err: err}
		}
		err := followDeployment(ctx, s, func(d status) bool { return d.ObservedGeneration == 1 })
		time.Sleep(settle)
		return load.Outcome{Err: err}
	}
}

// makeNodes makes those Node objects that are not made by the side itself.
func makeNodes(s *server.Server) error {
	if s.UnmadeNodes == 0 {
		return nil
	}
	return load.Drive(s, load.Work{Workers: workers, Ops: s.UnmadeNodes}, func(ctx context.Context, c *load.Client, _, n int, buf *bytes.Buffer) error {
		return c.Do(ctx, http.MethodPost, "/api/v1/nodes", load.JSON, node(n), buf)
	}).Err
}

func untilNodesReady(s *server.Server, want int) error {
	begin := time.Now()
	for {
		got, err := readyNodes(s)
		if err != nil || got == want {
			return err
		}
		if time.Since(begin) > rolloutTimeout {
			return fmt.Errorf("%d nodes of %d are ready after %v", got, want, rolloutTimeout)
		}
		time.Sleep(time.Second)
	}
}

func readyNodes(s *server.Server) (ready int, err error) {
	data, err := load.Once(context.Background(), s, http.MethodGet, "/api/v1/nodes?resourceVersion=0", nil)
	if err != nil {
		return 0, err
	}
	var list struct {
		Items []struct {
			Spec struct {
				Taints []struct{ Key string }
			}
			Status struct {
				Conditions []struct{ Type, Status string }
			}
		}
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return 0, err
	}
	for _, n := range list.Items {
		for _, c := range n.Status.Conditions {
			if c.Type == "Ready" && c.Status == "True" && len(n.Spec.Taints) == 0 {
				ready++
			}
		}
	}
	return ready, nil
}

// status is that of a Deployment.
type status struct {
	ObservedGeneration int64
	ReadyReplicas      int
}

func followDeployment(ctx context.Context, s *server.Server, enough func(status) bool) error {
	return load.Follow(ctx, s, deployments+"?watch=1&fieldSelector=metadata.name%3Dweb", func(event []byte) (bool, error) {
		var e struct {
			Object struct{ Status status }
		}
		err := json.Unmarshal(event, &e)
		return enough(e.Object.Status), err
	})
}

// scaleUp has as its value the megabytes that were written to disk.
func scaleUp(s *server.Server) load.Outcome {
	ctx, cancel := context.WithTimeout(context.Background(), rolloutTimeout)
	defer cancel()
	disk, err := s.Written()
	if err != nil {
		return load.Outcome{Err: err}
	}
	before, err := s.CPU()
	if err != nil {
		return load.Outcome{Err: err}
	}
	begin := time.Now()
	if _, err := load.Once(ctx, s, http.MethodPatch, deployments+"/web", fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, rolloutPods)); err != nil {
		return load.Outcome{Err: err}
	}
	seen := 0
	if err := followDeployment(ctx, s, func(d status) bool { seen = d.ReadyReplicas; return seen == rolloutPods }); err != nil {
		return load.Outcome{Err: fmt.Errorf("%d pods ready: %w", seen, err)}
	}
	took := time.Since(begin)
	time.Sleep(aftermath)
	after, err := s.CPU()
	if err != nil {
		return load.Outcome{Err: err}
	}
	written, err := s.Written()
	return load.Outcome{Elapsed: took, CPU: after - before, Value: float64(written-disk) / 1e6, Err: err}
}
