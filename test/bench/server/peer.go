package server

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
)

// Peer is Kubernetes: etcd and kube-apiserver, and in a whole control plane kube-controller-manager and
// kube-scheduler, with kwok for its nodes.
//
// Limits of clients and of requests in flight are off, as Proa has none. So is leader election, which costs a
// lone process a write every two seconds and buys it nothing. What works on objects is started when the API
// server is ready: a controller manager that finds none for ten seconds gives up.
func Peer(tools string) Side {
	return Side{
		Name: "peer", Needs: []string{filepath.Join(tools, "etcd"), filepath.Join(tools, "kube-apiserver")},
		Start: func(shape Shape) (*Server, error) { return startPeer("peer", tools, shape, startEtcd) },
	}
}

// Kine is the peer with kine and SQLite in the place of etcd, as k3s has it.
func Kine(tools string) Side {
	return Side{
		Name: "kine", Needs: []string{filepath.Join(tools, "kine"), filepath.Join(tools, "kube-apiserver")},
		Start: func(shape Shape) (*Server, error) { return startPeer("kine", tools, shape, startKine) },
	}
}

// Versions of the peers, as test/peer builds them.
const Versions = "kube-apiserver, kube-controller-manager and kube-scheduler 1.36.3, etcd 3.6.8, kwok 0.8.0, kine 0.17.5"

// startStore starts a store that listens on the first of two ports.
type startStore func(s *Server, tools, client, peer string) error

func startEtcd(s *Server, tools, client, peer string) error {
	return s.run("etcd", filepath.Join(tools, "etcd"), "--data-dir", s.file("etcd"), "--log-level", "error",
		"--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer, "--quota-backend-bytes", "8589934592")
}

// startKine says for SQLite what it does by itself except that a write is synced, as etcd's and Proa's are.
func startKine(s *Server, tools, client, _ string) error {
	return s.run("kine", filepath.Join(tools, "kine"), "--listen-address", client, "--metrics-bind-address", "0",
		"--endpoint", "sqlite://"+s.file("kine.db")+"?_journal_mode=WAL&_busy_timeout=30000&_synchronous=FULL&_txlock=immediate&_stmt_cache_size=20&cache=shared")
}

func startPeer(name, tools string, shape Shape, store startStore) (*Server, error) {
	s, err := newServer(name, shape)
	if err != nil {
		return nil, err
	}
	if s.files, err = writeKeys(s.dir); err != nil {
		return s, err
	}
	ports, err := freePorts(6)
	if err != nil {
		return s, err
	}
	s.Etcd = "http://127.0.0.1:" + ports[0]
	s.URL = "https://127.0.0.1:" + ports[2]
	if err := store(s, tools, s.Etcd, "http://127.0.0.1:"+ports[1]); err != nil {
		return s, err
	}
	if err := s.run("kube-apiserver", filepath.Join(tools, "kube-apiserver"), "--etcd-servers", s.Etcd, "--bind-address", "127.0.0.1",
		"--advertise-address", "10.255.255.254", "--endpoint-reconciler-type", "none",
		"--secure-port", ports[2], "--tls-cert-file", s.file("serving.crt"), "--tls-private-key-file", s.file("serving.key"),
		"--client-ca-file", s.file("ca.crt"), "--authorization-mode", "Node,RBAC", "--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", s.file("sa.key"), "--service-account-signing-key-file", s.file("sa.key"),
		"--service-cluster-ip-range", "10.0.0.0/24", "--enable-priority-and-fairness=false",
		"--max-requests-inflight", "0", "--max-mutating-requests-inflight", "0"); err != nil {
		return s, err
	}
	if err := s.waitReady(); err != nil || !shape.Whole {
		return s, err
	}
	s.UnmadeNodes = shape.Nodes
	return s, s.runLoops(tools, ports[3:], shape.Nodes > 0)
}

// runLoops starts what works on objects, all as the administrator.
func (s *Server) runLoops(tools string, ports []string, nodes bool) error {
	config := s.file("admin.kubeconfig")
	if err := s.writeKubeconfig(config); err != nil {
		return err
	}
	unlimited := []string{
		"--kube-api-qps", "100000", "--kube-api-burst", "100000", "--leader-elect=false", "--bind-address", "127.0.0.1", "--kubeconfig", config,
	}
	if err := s.run("kube-controller-manager", filepath.Join(tools, "kube-controller-manager"), append([]string{
		"--secure-port", ports[0], "--use-service-account-credentials", "--root-ca-file", s.file("ca.crt"),
		"--service-account-private-key-file", s.file("sa.key"),
		"--cluster-signing-cert-file", s.file("ca.crt"), "--cluster-signing-key-file", s.file("ca.key")}, unlimited...)...); err != nil {
		return err
	}
	if err := s.run("kube-scheduler", filepath.Join(tools, "kube-scheduler"), append([]string{"--secure-port", ports[1]}, unlimited...)...); err != nil {
		return err
	}
	if !nodes {
		return nil
	}
	return s.run("kwok", filepath.Join(tools, "kwok"), "--kubeconfig", config, "--config", filepath.Join(tools, "kwok-stages.yaml"),
		"--manage-all-nodes", "--cidr", "10.64.0.1/10", "--node-lease-duration-seconds", "40", "--server-address", "127.0.0.1:"+ports[2])
}

func (s *Server) writeKubeconfig(path string) error {
	encode := base64.StdEncoding.EncodeToString
	return os.WriteFile(path, fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: bench
contexts: [{name: bench, context: {cluster: bench, user: admin}}]
clusters: [{name: bench, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: admin, user: {client-certificate-data: %s, client-key-data: %s}}]
`, s.URL, encode(s.files.ca), encode(s.files.cert), encode(s.files.key)), 0o600)
}
