package authn

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/proa-dev/proa/internal/access"
)

// TokenFile are tokens of a file: lines of token, user name, user uid and, if there are any, the user's
// groups with commas between them, as CSV.
type TokenFile struct {
	users map[string]*access.User
}

var _ Tokens = (*TokenFile)(nil)

// OpenTokenFile reads a file.
func OpenTokenFile(path string) (*TokenFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("token file: %w", err)
	}
	defer f.Close()
	t, err := ReadTokenFile(f)
	if err != nil {
		return nil, fmt.Errorf("token file %s: %w", path, err)
	}
	return t, nil
}

// ReadTokenFile reads the content of a file. Errors name the line.
func ReadTokenFile(r io.Reader) (*TokenFile, error) {
	t := &TokenFile{users: map[string]*access.User{}}
	reader := csv.NewReader(r)
	reader.FieldsPerRecord = -1
	reader.TrimLeadingSpace = true
	lines := map[string]int{}
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, err
		}
		line, _ := reader.FieldPos(0)
		if len(record) < 3 || len(record) > 4 {
			return nil, fmt.Errorf("line %d: %d columns, want token, user name, user uid and perhaps \"group,group\"", line, len(record))
		}
		token, name := record[0], record[1]
		switch {
		case token == "":
			return nil, fmt.Errorf("line %d: the token is empty", line)
		case name == "":
			return nil, fmt.Errorf("line %d: the user name is empty", line)
		case lines[token] != 0:
			return nil, fmt.Errorf("line %d: the token is that of line %d", line, lines[token])
		}
		lines[token] = line
		u := access.User{Name: name, UID: record[2]}
		if len(record) == 4 && record[3] != "" {
			u.Groups = strings.Split(record[3], ",")
		}
		t.users[token] = known(u)
	}
}

// Verify implements Tokens. Tokens of a file are for the API server.
func (t *TokenFile) Verify(_ context.Context, token string, audiences []string) (*Verified, error) {
	u, ok := t.users[token]
	if !ok {
		return nil, nil
	}
	return &Verified{User: u, Audiences: audiences}, nil
}
