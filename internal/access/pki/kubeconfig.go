package pki

import (
	"cmp"
	"crypto"
	"crypto/tls"
	"fmt"

	"sigs.k8s.io/yaml"
)

// Kubeconfig is a kubeconfig with one cluster, one user and the context of both.
type Kubeconfig struct {
	// Server such as https://127.0.0.1:6443.
	Server string
	// Cluster, User and Context are names within the file; they default to proa, admin and proa.
	Cluster, User, Context string
	Certificate            *tls.Certificate
}

type kubeconfig struct {
	APIVersion     string         `json:"apiVersion"`
	Kind           string         `json:"kind"`
	CurrentContext string         `json:"current-context"`
	Clusters       []namedCluster `json:"clusters"`
	Contexts       []namedContext `json:"contexts"`
	Users          []namedUser    `json:"users"`
	Preferences    struct{}       `json:"preferences"`
}

type namedCluster struct {
	Name    string `json:"name"`
	Cluster struct {
		Server string `json:"server"`
		CA     []byte `json:"certificate-authority-data"`
	} `json:"cluster"`
}

type namedContext struct {
	Name    string `json:"name"`
	Context struct {
		Cluster string `json:"cluster"`
		User    string `json:"user"`
	} `json:"context"`
}

type namedUser struct {
	Name string `json:"name"`
	User struct {
		Certificate []byte `json:"client-certificate-data"`
		Key         []byte `json:"client-key-data"`
	} `json:"user"`
}

// EncodeKubeconfig renders the file's content.
func (p *PKI) EncodeKubeconfig(k Kubeconfig) ([]byte, error) {
	signer, ok := k.Certificate.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("pki: kubeconfig: a %T is no private key", k.Certificate.PrivateKey)
	}
	key, err := encodeKey(signer)
	if err != nil {
		return nil, fmt.Errorf("pki: kubeconfig: %w", err)
	}
	cluster, context, user := namedCluster{Name: cmp.Or(k.Cluster, "proa")}, namedContext{Name: cmp.Or(k.Context, "proa")}, namedUser{Name: cmp.Or(k.User, "admin")}
	cluster.Cluster.Server, cluster.Cluster.CA = k.Server, p.CA
	context.Context.Cluster, context.Context.User = cluster.Name, user.Name
	user.User.Certificate, user.User.Key = encodeCertificate(k.Certificate.Certificate[0]), key
	return yaml.Marshal(kubeconfig{
		APIVersion: "v1", Kind: "Config", CurrentContext: context.Name,
		Clusters: []namedCluster{cluster}, Contexts: []namedContext{context}, Users: []namedUser{user},
	})
}

// WriteKubeconfig writes a kubeconfig that only its owner can read.
func (p *PKI) WriteKubeconfig(path string, k Kubeconfig) error {
	data, err := p.EncodeKubeconfig(k)
	if err != nil {
		return err
	}
	if err := WriteFile(path, data); err != nil {
		return fmt.Errorf("pki: kubeconfig: %w", err)
	}
	return nil
}
