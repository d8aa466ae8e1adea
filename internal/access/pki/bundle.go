package pki

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// bundle is what servers of one control plane must have in common: the authority, and the key that signs
// service account tokens. The rest each makes for itself.
type bundle struct {
	Authority    string `json:"ca.crt"`
	AuthorityKey string `json:"ca.key"`
	SigningKey   string `json:"sa.key"`
}

// files are the parts by file name. The certificate comes last: it is there only with its key.
func (b *bundle) files() []struct {
	name string
	text *string
} {
	return []struct {
		name string
		text *string
	}{{"sa.key", &b.SigningKey}, {"ca.key", &b.AuthorityKey}, {"ca.crt", &b.Authority}}
}

// Bundle is the directory's keys in one piece, or new ones, which are not kept, if it has none.
func Bundle(dir string) ([]byte, error) {
	from := dir
	if _, err := os.Stat(filepath.Join(dir, "ca.crt")); errors.Is(err, os.ErrNotExist) {
		if from, err = os.MkdirTemp("", "proa-pki-"); err != nil {
			return nil, fmt.Errorf("pki: %w", err)
		}
		defer os.RemoveAll(from)
	}
	p := &PKI{options: Options{Dir: from, Now: time.Now}}
	if err := errors.Join(p.openAuthority(), p.openSigningKey()); err != nil {
		return nil, err
	}
	b := &bundle{}
	for _, f := range b.files() {
		data, err := os.ReadFile(filepath.Join(from, f.name))
		if err != nil {
			return nil, fmt.Errorf("pki: %w", err)
		}
		*f.text = string(data)
	}
	return json.Marshal(b)
}

// Install writes a bundle's keys into the directory. Other keys that are there are not overwritten: a server
// whose clients know another authority must not change it behind their backs.
func Install(dir string, data []byte) error {
	b := &bundle{}
	if err := json.Unmarshal(data, b); err != nil {
		return fmt.Errorf("pki: the shared keys: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	for _, f := range b.files() {
		if strings.TrimSpace(*f.text) == "" {
			return fmt.Errorf("pki: the shared keys have no %s", f.name)
		}
		path := filepath.Join(dir, f.name)
		there, err := readFile(path)
		if err != nil {
			return fmt.Errorf("pki: %w", err)
		}
		if there != nil && !bytes.Equal(bytes.TrimSpace(there), []byte(strings.TrimSpace(*f.text))) {
			return fmt.Errorf("pki: %s is not what the other servers have: remove the directory %s to take over theirs", path, dir)
		}
	}
	for _, f := range b.files() {
		if err := WriteFile(filepath.Join(dir, f.name), []byte(*f.text)); err != nil {
			return fmt.Errorf("pki: %w", err)
		}
	}
	return nil
}
