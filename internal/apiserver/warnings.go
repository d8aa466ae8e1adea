package apiserver

import (
	"net/http"
	"slices"
	"unicode/utf8"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// Warnings are bounded: once all of an answer's texts together are longer than maxWarnings, each is cut to
// maxWarning, and what comes after those that then fill maxWarnings again is left out. Both count runes.
const (
	maxWarnings = 4 * 1024
	maxWarning  = 256
)

// warnings adds Warning headers, each text once, while the answer has not begun.
type warnings struct {
	header http.Header
	texts  []string
	total  int // runes that the headers hold
	cut    bool
}

func (w *warnings) add(text string) {
	if text == "" || w.cut && w.total >= maxWarnings || slices.Contains(w.texts, text) {
		return
	}
	w.texts = append(w.texts, text)
	if !w.cut && w.total+utf8.RuneCountInString(text) > maxWarnings {
		w.cut, w.total = true, 0
		w.header.Del("Warning")
		for _, t := range w.texts {
			w.write(t)
		}
		return
	}
	w.write(text)
}

func (w *warnings) write(text string) {
	if w.cut && utf8.RuneCountInString(text) > maxWarning {
		text = string([]rune(text)[:maxWarning])
	}
	// 299 is a warning of no particular kind (RFC 7234).
	header, err := utilnet.NewWarningHeader(299, "-", text)
	if err != nil {
		return
	}
	w.total += utf8.RuneCountInString(text)
	w.header.Add("Warning", header)
}
