package twin

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

// run starts a program that ends with the test. Its log goes to a file in dir.
func run(dir, program string, args ...string) (stop func(), ended <-chan error, err error) {
	log, err := os.Create(filepath.Join(dir, filepath.Base(program)+".log"))
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, dir
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	done := make(chan error, 1)
	gone := make(chan struct{})
	go func() {
		done <- cmd.Wait()
		close(gone)
		log.Close()
	}()
	stop = func() {
		cmd.Process.Signal(os.Interrupt)
		select {
		case <-gone:
		case <-time.After(5 * time.Second):
			cmd.Process.Kill()
			<-gone
		}
	}
	return stop, done, nil
}

// startProa runs the built binary without controllers, scheduler and nodes: kube-apiserver has none either.
func startProa(binary, dir string) (*server, error) {
	tokens, err := writeTokens(dir)
	if err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	stop, ended, err := run(dir, binary, "server", "--in-memory", "--secure-port", "0", "--kubeconfig", kubeconfig,
		"--disable", "controllers,scheduler,nodes", "--token-auth-file", tokens)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			continue // not written yet
		}
		s, err := newServer(config.Host, stop)
		if err != nil {
			return nil, err
		}
		return s, s.waitReady(patience, ended)
	}
	stop()
	return nil, fmt.Errorf("proa wrote no kubeconfig; see %s", dir)
}

// startPeer runs etcd and kube-apiserver.
func startPeer(tools, dir string) (*server, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	client, peer := "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
	stopEtcd, _, err := run(dir, filepath.Join(tools, "etcd"), "--data-dir", filepath.Join(dir, "etcd"),
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer,
		"--unsafe-no-fsync", "--log-level", "warn")
	if err != nil {
		return nil, err
	}
	tokens, err := writeTokens(dir)
	if err != nil {
		return nil, err
	}
	key, err := writeKey(dir)
	if err != nil {
		return nil, err
	}
	issuer := "https://kubernetes.default.svc.cluster.local"
	stop, ended, err := run(dir, filepath.Join(tools, "kube-apiserver"),
		"--etcd-servers", client, "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1",
		"--secure-port", ports[2], "--cert-dir", filepath.Join(dir, "certs"), "--endpoint-reconciler-type", "none",
		"--token-auth-file", tokens, "--authorization-mode", "Node,RBAC", "--allow-privileged",
		"--service-cluster-ip-range", "10.0.0.0/24", "--service-account-issuer", issuer,
		"--service-account-key-file", key, "--service-account-signing-key-file", key)
	if err != nil {
		return nil, err
	}
	s, err := newServer("https://127.0.0.1:"+ports[2], func() { stop(); stopEtcd() })
	if err != nil {
		return nil, err
	}
	return s, s.waitReady(patience, ended)
}

// writeKey makes the key that service account tokens are signed with.
func writeKey(dir string) (string, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	file := filepath.Join(dir, "sa.key")
	return file, os.WriteFile(file, pem.EncodeToMemory(block), 0o600)
}

func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return ports, nil
}
