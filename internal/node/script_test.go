package node

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/proa-dev/proa/internal/client"
)

var update = flag.Bool("update", false, "write what comes out into testdata")

// TestScripts runs testdata/*.txt: what users do to pods of one node, and every state of these that the API
// shows, with events. Lines that begin with > are the outcome. Commands are
//
//	create PODSPEC-JSON-OR-YAML-FLOW, with name and annotations beside the spec's fields
//	wait 5s
//	delete NAME [GRACE-SECONDS]
//	gate NAME TYPE: makes another's condition true
//	restart: of the agent
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			synctest.Test(t, func(t *testing.T) { got = runScript(t, string(want)) })
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("%s:\n%s", file, got)
			}
		})
	}
}

type script struct {
	*cluster
	out   strings.Builder
	begin time.Time
}

func runScript(t *testing.T, text string) string {
	s := &script{cluster: newCluster(t, Options{}), begin: time.Now()}
	s.events.Take()
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := client.Pods.Watch(ctx, s.api, "", metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1000)
	go s.follow(stream, lines)
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, ">") {
			continue
		}
		s.out.WriteString(line)
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			s.command(line)
		}
		synctest.Wait()
		for len(lines) > 0 {
			s.out.WriteString("> " + <-lines + "\n")
		}
		for _, e := range s.events.Take() {
			s.out.WriteString("> event " + e + "\n")
		}
	}
	cancel()
	s.stop()
	return uids.ReplaceAllString(s.out.String(), "UID")
}

// uids are numbered by what else was made before, such as the node's Lease.
var uids = regexp.MustCompile(`00000000-0000-4000-8000-\d{12}`)

func (s *script) command(line string) {
	verb, rest, _ := strings.Cut(line, " ")
	switch args := strings.Fields(rest); verb {
	case "create":
		s.create(s.parse(rest))
	case "wait":
		d, err := time.ParseDuration(rest)
		if err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(d)
	case "delete":
		o := metav1.DeleteOptions{}
		if len(args) == 2 {
			var grace int64
			fmt.Sscan(args[1], &grace)
			o.GracePeriodSeconds = &grace
		}
		if err := client.Pods.Delete(s.t.Context(), s.api, "default", args[0], o); err != nil {
			s.t.Fatal(err)
		}
	case "gate":
		patch := fmt.Sprintf(`{"status":{"conditions":[{"type":%q,"status":"True"}]}}`, args[1])
		_, err := client.Pods.Patch(s.t.Context(), s.api, "default", args[0], types.StrategicMergePatchType, []byte(patch), "status")
		if err != nil {
			s.t.Fatal(err)
		}
	case "restart":
		s.stop()
		s.run(Options{})
	default:
		s.t.Fatalf("no command %q", verb)
	}
}

func (s *script) parse(text string) *corev1.Pod {
	p := podOn("proa-node-0", "")
	p.Spec.Containers = nil
	p.UID = ""
	var meta struct {
		Name        string
		Annotations map[string]string
		Finalizers  []string
	}
	if err := yaml.Unmarshal([]byte(text), &meta); err != nil {
		s.t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(text), &p.Spec); err != nil {
		s.t.Fatal(err)
	}
	p.Name, p.Annotations, p.Finalizers = meta.Name, meta.Annotations, meta.Finalizers
	return p
}

func (s *script) follow(stream client.Stream, lines chan<- string) {
	for {
		events, err := stream.Next()
		if err != nil {
			return
		}
		for _, e := range events {
			at := time.Since(s.begin).Round(time.Millisecond)
			p := e.Object.(*corev1.Pod)
			if e.Type == watch.Deleted {
				lines <- fmt.Sprintf("%s %s gone", at, p.Name)
			} else if p.Status.StartTime != nil {
				lines <- fmt.Sprintf("%s %s", at, show(p))
			}
		}
	}
}

// show is a pod's status in a line.
func show(p *corev1.Pod) string {
	var b strings.Builder
	s := &p.Status
	fmt.Fprintf(&b, "%s %s", p.Name, s.Phase)
	if p.DeletionTimestamp != nil {
		b.WriteString(" terminating")
	}
	if s.Reason != "" {
		fmt.Fprintf(&b, " %s (%s)", s.Reason, s.Message)
	}
	if s.PodIP != "" {
		b.WriteString(" " + s.PodIP)
	}
	for _, list := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses} {
		for i := range list {
			b.WriteString(" " + showContainer(&list[i]))
		}
	}
	for _, c := range s.Conditions {
		sign := map[corev1.ConditionStatus]string{corev1.ConditionTrue: "+", corev1.ConditionFalse: "-"}[c.Status]
		fmt.Fprintf(&b, " %s%s", sign, c.Type)
		if c.Reason != "" {
			fmt.Fprintf(&b, "(%s)", c.Reason)
		}
	}
	return b.String()
}

func showContainer(c *corev1.ContainerStatus) string {
	state := "?"
	switch s := c.State; {
	case s.Waiting != nil:
		state = s.Waiting.Reason
		if s.Waiting.Message != "" {
			state += " " + s.Waiting.Message
		}
	case s.Running != nil:
		state = "running"
	case s.Terminated != nil:
		state = fmt.Sprintf("%s %d", s.Terminated.Reason, s.Terminated.ExitCode)
	}
	if c.Started != nil && *c.Started {
		state += " started"
	}
	if c.Ready {
		state += " ready"
	}
	if c.RestartCount > 0 {
		state += fmt.Sprintf(" restarts=%d", c.RestartCount)
	}
	if t := c.LastTerminationState.Terminated; t != nil {
		state += fmt.Sprintf(" last=%d", t.ExitCode)
	}
	return fmt.Sprintf("[%s: %s]", c.Name, state)
}
