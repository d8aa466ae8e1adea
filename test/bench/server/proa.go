package server

import (
	"encoding/base64"
	"fmt"
	"os"
	"regexp"
	"strconv"
)

// Proa is one process, whatever its shape.
func Proa(bin string) Side {
	return Side{Name: "Proa", Needs: []string{bin}, Start: func(shape Shape) (*Server, error) { return startProa(bin, shape) }}
}

func startProa(bin string, shape Shape) (*Server, error) {
	s, err := newServer("Proa", shape)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return s, err
	}
	s.URL = "https://127.0.0.1:" + ports[0]
	args := []string{"apiserver"}
	if shape.Whole {
		args = []string{"server"}
	}
	if shape.Nodes > 0 {
		args = append(args, "--nodes", strconv.Itoa(shape.Nodes))
	}
	args = append(args, "--data-dir", s.file("data"), "--secure-port", ports[0])
	if err := s.run("proa", bin, args...); err != nil {
		return s, err
	}
	if err := s.waitReady(); err != nil {
		return s, err
	}
	return s, s.readKubeconfig(s.file("data/admin.kubeconfig"))
}

// readKubeconfig takes the three base64 values out of a kubeconfig that Proa wrote.
func (s *Server) readKubeconfig(path string) error {
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
