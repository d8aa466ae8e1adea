package authn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"
)

// legacyIssuer signs tokens that are kept in Secrets.
const legacyIssuer = "kubernetes/serviceaccount"

// JWKSPath is where the keys that verify tokens are served.
const JWKSPath = "/openid/v1/jwks"

// Issuer makes service account tokens and knows the keys that verify them. KEP-1205, KEP-4193.
type Issuer struct {
	url    string
	signer jose.Signer
	keys   []jose.JSONWebKey // public, the signer's first
}

// NewIssuer returns the issuer that signs with key. Tokens that one of the others signed are good too.
func NewIssuer(url string, key crypto.Signer, others ...crypto.PublicKey) (*Issuer, error) {
	i := &Issuer{url: url}
	for _, public := range append([]crypto.PublicKey{key.Public()}, others...) {
		k, err := publicKey(public)
		if err != nil {
			return nil, fmt.Errorf("service account key: %w", err)
		}
		i.keys = append(i.keys, k)
	}
	own := i.keys[0]
	signing := jose.JSONWebKey{Key: key, KeyID: own.KeyID, Algorithm: own.Algorithm, Use: own.Use}
	var err error
	i.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(own.Algorithm), Key: signing}, nil)
	if err != nil {
		return nil, fmt.Errorf("service account key: %w", err)
	}
	return i, nil
}

// publicKey gives a key the id by which tokens name it: a hash of it, as in every other cluster.
func publicKey(key crypto.PublicKey) (jose.JSONWebKey, error) {
	algorithm, err := algorithmOf(key)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	sum := sha256.Sum256(der)
	id := base64.RawURLEncoding.EncodeToString(sum[:])
	return jose.JSONWebKey{Key: key, KeyID: id, Algorithm: string(algorithm), Use: "sig"}, nil
}

func algorithmOf(key crypto.PublicKey) (jose.SignatureAlgorithm, error) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return jose.RS256, nil
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return jose.ES256, nil
		case elliptic.P384():
			return jose.ES384, nil
		case elliptic.P521():
			return jose.ES512, nil
		}
		return "", errors.New("the curve must be P-256, P-384 or P-521")
	}
	return "", fmt.Errorf("a %T is neither RSA nor ECDSA", key)
}

// algorithms are those that a token may be signed with.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.ES384, jose.ES512}
}

// privateClaims are what a bound token says beside the registered claims.
type privateClaims struct {
	Kubernetes kubernetesClaims `json:"kubernetes.io"`
}

type kubernetesClaims struct {
	Namespace      string           `json:"namespace,omitempty"`
	ServiceAccount ref              `json:"serviceaccount"`
	Pod            *ref             `json:"pod,omitempty"`
	Secret         *ref             `json:"secret,omitempty"`
	Node           *ref             `json:"node,omitempty"`
	WarnAfter      *jwt.NumericDate `json:"warnafter,omitempty"`
}

type ref struct {
	Name string `json:"name,omitempty"`
	UID  string `json:"uid,omitempty"`
}

// audienceClaim is always a list, also of one, as clients have come to expect.
type audienceClaim struct {
	Audience []string `json:"aud"`
}

// legacyClaims are what a token that is kept in a Secret says.
type legacyClaims struct {
	Namespace          string `json:"kubernetes.io/serviceaccount/namespace"`
	SecretName         string `json:"kubernetes.io/serviceaccount/secret.name"`
	ServiceAccountName string `json:"kubernetes.io/serviceaccount/service-account.name"`
	ServiceAccountUID  string `json:"kubernetes.io/serviceaccount/service-account.uid"`
}

// Binding is what a token lives and dies with. At most one of Pod, Secret and Node is what it is bound to;
// Pod and Node together are a pod and where it runs.
type Binding struct {
	Pod    *corev1.Pod
	Secret *corev1.Secret
	Node   *corev1.Node
}

// Issue makes a token for a service account, good from now until then. WarnAfter is when a client that
// still uses it should have asked for another; zero is never.
func (i *Issuer) Issue(sa *corev1.ServiceAccount, b Binding, audiences []string, now, until, warnAfter time.Time, id string) (string, error) {
	private := privateClaims{kubernetesClaims{
		Namespace:      sa.Namespace,
		ServiceAccount: ref{sa.Name, string(sa.UID)},
	}}
	k := &private.Kubernetes
	if b.Pod != nil {
		k.Pod = &ref{b.Pod.Name, string(b.Pod.UID)}
	}
	if b.Secret != nil {
		k.Secret = &ref{b.Secret.Name, string(b.Secret.UID)}
	}
	if b.Node != nil {
		k.Node = &ref{b.Node.Name, string(b.Node.UID)}
	}
	if !warnAfter.IsZero() {
		k.WarnAfter = jwt.NewNumericDate(warnAfter)
	}
	return jwt.Signed(i.signer).Claims(private).Claims(audienceClaim{audiences}).Claims(jwt.Claims{
		Issuer: i.url, Subject: accountUser(sa.Namespace, sa.Name), ID: id,
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(until),
	}).Serialize()
}

// IssueLegacy makes the token that is kept in a Secret of type kubernetes.io/service-account-token. It
// has no end of its own.
func (i *Issuer) IssueLegacy(sa *corev1.ServiceAccount, secret *corev1.Secret) (string, error) {
	return jwt.Signed(i.signer).Claims(legacyClaims{
		Namespace: sa.Namespace, SecretName: secret.Name, ServiceAccountName: sa.Name, ServiceAccountUID: string(sa.UID),
	}).Claims(jwt.Claims{Issuer: legacyIssuer, Subject: accountUser(sa.Namespace, sa.Name)}).Serialize()
}

// Discovery is the document at /.well-known/openid-configuration, application/json. jwksURI is where
// others reach JWKSPath.
func (i *Issuer) Discovery(jwksURI string) ([]byte, error) {
	var used []string
	for _, k := range i.keys {
		used = append(used, k.Algorithm)
	}
	return json.Marshal(struct {
		Issuer     string   `json:"issuer"`
		JWKSURI    string   `json:"jwks_uri"`
		Responses  []string `json:"response_types_supported"`
		Subjects   []string `json:"subject_types_supported"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}{i.url, jwksURI, []string{"id_token"}, []string{"public"}, sortedUnique(used)})
}

// JWKS is the document at JWKSPath, application/jwk-set+json.
func (i *Issuer) JWKS() ([]byte, error) {
	return json.Marshal(jose.JSONWebKeySet{Keys: i.keys})
}
