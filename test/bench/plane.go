package main

import (
	"context"
	"time"

	"github.com/proa-dev/proa/test/bench/load"
	"github.com/proa-dev/proa/test/bench/server"
)

const (
	// settle is how long a server is left alone before it is weighed.
	settle  = 10 * time.Second
	idleFor = 30 * time.Second
)

// wholePlane is what a control plane costs that has all its parts and little to do. Proa's is as it starts by
// itself, with one simulated node, whose heartbeats the peer does not have.
func wholePlane() suite {
	return suite{group: "whole control plane", shape: server.Shape{Whole: true}, steps: func() []step {
		return []step{
			{lines: single("start to /readyz", "ms"), run: ready},
			{lines: single("start until a new namespace has its service account", "ms"), run: untilControllersWork, fills: true},
			{lines: weights("memory idle"), run: weigh},
			{lines: single("idle CPU", "% of a core"), run: idle},
			{run: createConfigMaps, fills: true},
			{run: createPods(true), fills: true},
			{run: list(bigLists, "", load.JSON), fills: true},
			{run: list(bigLists, "", load.Protobuf), fills: true},
			{run: list(smallLists, "?labelSelector=pick%3Dme", load.JSON), fills: true},
			{lines: weights("memory with 5,000 pods, 5,000 ConfigMaps, after LISTs"), run: weigh},
			{lines: single("idle CPU with them", "% of a core"), run: idle},
		}
	}}
}

// weights are the lines of weigh.
func weights(name string) []line {
	return []line{
		{name: name + ", anonymous", unit: "MB", figure: value},
		{name: name + ", resident", unit: "MB", figure: func(o load.Outcome) float64 { return o.Second }},
	}
}

// weigh has the anonymous memory as its value and the resident as its second.
func weigh(s *server.Server) load.Outcome {
	time.Sleep(settle)
	anonymous, resident, err := s.Memory()
	return load.Outcome{Value: float64(anonymous) / 1e6, Second: float64(resident) / 1e6, Err: err}
}

func idle(s *server.Server) load.Outcome {
	before, err := s.CPU()
	if err != nil {
		return load.Outcome{Err: err}
	}
	time.Sleep(idleFor)
	after, err := s.CPU()
	return load.Outcome{Value: 100 * (after - before).Seconds() / idleFor.Seconds(), Err: err}
}

// untilControllersWork makes the namespace of the rows that follow.
func untilControllersWork(s *server.Server) load.Outcome {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := makeNamespace(ctx, s, namespace); err != nil {
		return load.Outcome{Err: err}
	}
	err := untilFurnished(ctx, s, namespace)
	return load.Outcome{Value: ms(time.Since(s.Begun)), Err: err}
}

// untilFurnished waits until controllers have given a namespace its service account.
func untilFurnished(ctx context.Context, s *server.Server, namespace string) error {
	return load.Follow(ctx, s, "/api/v1/namespaces/"+namespace+"/serviceaccounts?watch=1&fieldSelector=metadata.name%3Ddefault",
		func([]byte) (bool, error) { return true, nil })
}
