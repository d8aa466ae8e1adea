package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

const startTimeout = 60 * time.Second

// startProa runs the API server of Proa, with everything else off, as the peer's is alone too.
func startProa(bin string, extra ...string) (*server, error) {
	s := &server{name: "proa"}
	var err error
	if s.dir, err = os.MkdirTemp("", "bench-proa-"); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s.url = "https://127.0.0.1:" + strconv.Itoa(port)
	args := append([]string{"apiserver", "--data-dir", filepath.Join(s.dir, "data"), "--secure-port", strconv.Itoa(port)}, extra...)
	begin := time.Now()
	if err := s.spawn(bin, args...); err != nil {
		return nil, err
	}
	if err := s.waitReady(begin); err != nil {
		return s, err
	}
	return s, s.readKubeconfig(filepath.Join(s.dir, "data", "admin.kubeconfig"))
}

// readKubeconfig takes the three base64 values out of a kubeconfig that Proa wrote.
func (s *server) readKubeconfig(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for name, to := range map[string]*[]byte{
		"certificate-authority-data": &s.files.ca, "client-certificate-data": &s.files.cert, "client-key-data": &s.files.key,
	} {
		m := regexp.MustCompile(name + `: (\S+)`).FindSubmatch(data)
		if m == nil {
			return fmt.Errorf("%s has no %s", path, name)
		}
		if *to, err = base64.StdEncoding.DecodeString(string(m[1])); err != nil {
			return err
		}
	}
	return nil
}

// startPeer runs etcd and kube-apiserver. Limits of requests in flight are off, as is nothing else.
func startPeer(tools string) (*server, error) {
	s := &server{name: "peer"}
	var err error
	if s.dir, err = os.MkdirTemp("", "bench-peer-"); err != nil {
		return nil, err
	}
	keys, err := writeKeys(s.dir)
	if err != nil {
		return nil, err
	}
	s.files = keys
	var ports [3]int
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			return nil, err
		}
	}
	etcd, peer := "http://127.0.0.1:"+strconv.Itoa(ports[0]), "http://127.0.0.1:"+strconv.Itoa(ports[1])
	s.url = "https://127.0.0.1:" + strconv.Itoa(ports[2])
	begin := time.Now()
	if err := s.spawn(filepath.Join(tools, "etcd"), "--data-dir", filepath.Join(s.dir, "etcd"), "--log-level", "error",
		"--listen-client-urls", etcd, "--advertise-client-urls", etcd, "--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer, "--quota-backend-bytes", "8589934592"); err != nil {
		return s, err
	}
	file := func(name string) string { return filepath.Join(s.dir, name) }
	if err := s.spawn(filepath.Join(tools, "kube-apiserver"), "--etcd-servers", etcd, "--bind-address", "127.0.0.1",
		"--advertise-address", "10.255.255.254", "--endpoint-reconciler-type", "none",
		"--secure-port", strconv.Itoa(ports[2]), "--tls-cert-file", file("serving.crt"), "--tls-private-key-file", file("serving.key"),
		"--client-ca-file", file("ca.crt"), "--authorization-mode", "Node,RBAC", "--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", file("sa.key"), "--service-account-signing-key-file", file("sa.key"),
		"--service-cluster-ip-range", "10.0.0.0/24", "--enable-priority-and-fairness=false",
		"--max-requests-inflight", "0", "--max-mutating-requests-inflight", "0"); err != nil {
		return s, err
	}
	return s, s.waitReady(begin)
}

// waitReady polls /readyz, which both sides answer to strangers.
func (s *server) waitReady(begin time.Time) error {
	probe := &http.Client{Transport: insecureTransport(), Timeout: time.Second}
	defer probe.CloseIdleConnections()
	for time.Since(begin) < startTimeout {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/readyz", nil)
		res, err := probe.Do(req)
		cancel()
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				s.ready = time.Since(begin)
				return nil
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("%s is not ready after %v:\n%s", s.name, startTimeout, s.logs())
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
