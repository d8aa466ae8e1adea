package twin

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"sort"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1beta1 "k8s.io/apimachinery/pkg/apis/meta/v1beta1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

const protobufType = "application/vnd.kubernetes.protobuf"

// decodeBody gives the kind of a body for the first line of an answer, and either its text or its value.
func decodeBody(contentType string, text []byte) (kind, body string, value any, err error) {
	media, params, _ := mime.ParseMediaType(contentType)
	kind = contentType
	switch {
	case len(text) == 0:
		return strings.TrimSpace(kind + " (empty)"), "", nil, nil
	case params["stream"] == "watch" || media == "application/json" && isStream(text):
		value, err = decodeStream(media, text)
		return kind + " (events)", "", value, err
	case media == "application/json":
		if bytes.Contains(text, []byte("\n  ")) {
			kind += " (pretty)"
		}
		value, err = decodeNumbers(text)
	case media == "application/yaml":
		if text, err = yaml.YAMLToJSON(text); err == nil {
			value, err = decodeNumbers(text)
		}
	case media == protobufType:
		value, err = decodeProtobuf(text)
	}
	return kind, string(text), value, err
}

// decodeFrames is what a server sent over a websocket: each frame as its value if it is JSON, or as its text; and how it
// ended.
func decodeFrames(text []byte) (kind, body string, value any, err error) {
	frames := []any{}
	for len(text) >= 2 {
		opcode, size, head := text[0]&0xf, int(text[1]&0x7f), 2
		switch {
		case size == 126 && len(text) >= 4:
			size, head = int(binary.BigEndian.Uint16(text[2:])), 4
		case size == 127 && len(text) >= 10:
			size, head = int(binary.BigEndian.Uint64(text[2:])), 10
		}
		if size > len(text)-head {
			return "", "", frames, fmt.Errorf("a frame of %d bytes is cut at %d", size, len(text)-head)
		}
		payload := text[head : head+size]
		frame := map[string]any{"opcode": opcode, "text": strconv.QuoteToASCII(string(payload))}
		if v, err := decodeNumbers(payload); err == nil {
			frame = map[string]any{"opcode": opcode, "json": v}
		}
		frames, text = append(frames, frame), text[head+size:]
	}
	return "websocket", "", frames, nil
}

// isStream: watches in JSON say nothing in their Content-Type.
func isStream(text []byte) bool {
	return bytes.HasPrefix(text, []byte(`{"type":"`))
}

// decodeStream is the list of the events of a watch.
func decodeStream(media string, text []byte) (any, error) {
	events := []any{}
	if media == protobufType {
		for len(text) >= 4 {
			size := int(binary.BigEndian.Uint32(text))
			if size > len(text)-4 {
				return events, fmt.Errorf("an event of %d bytes is cut at %d", size, len(text)-4)
			}
			event, err := decodeProtobuf(text[4 : 4+size])
			if err != nil {
				return events, err
			}
			events, text = append(events, event), text[4+size:]
		}
		return events, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	for {
		var event any
		if err := d.Decode(&event); err == io.EOF {
			return events, nil
		} else if err != nil {
			return events, err
		}
		events = append(events, event)
	}
}

// known are the kinds that bodies in protobuf can have.
var known = func() *runtime.Scheme {
	s := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(s), metav1.AddMetaToScheme(s), metav1beta1.AddMetaToScheme(s)); err != nil {
		panic(err)
	}
	return s
}()

func protobufCodec() *protobuf.Serializer { return protobuf.NewSerializer(known, known) }

// decodeProtobuf opens the envelope and shows the object as JSON would.
func decodeProtobuf(text []byte) (any, error) {
	o, gvk, err := protobufCodec().Decode(text, nil, nil)
	if err != nil {
		// Watch events are in no scheme's version of the kind.
		return decodeWatchEvent(text, err)
	}
	o.GetObjectKind().SetGroupVersionKind(*gvk)
	j, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return decodeNumbers(j)
}

func decodeWatchEvent(text []byte, not error) (any, error) {
	var e metav1.WatchEvent
	if err := e.Unmarshal(text); err != nil {
		return nil, fmt.Errorf("%w; %w", not, err)
	}
	object, err := decodeProtobuf(e.Object.Raw)
	return map[string]any{"type": e.Type, "object": object}, err
}

// encodeProtobuf turns an object in YAML into the envelope.
func encodeProtobuf(text []byte) ([]byte, error) {
	j, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, err
	}
	var m metav1.TypeMeta
	if err := utiljson.Unmarshal(j, &m); err != nil {
		return nil, err
	}
	o, err := known.New(m.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(j, o); err != nil {
		return nil, err
	}
	return runtime.Encode(protobufCodec(), o)
}

// shown are the headers that clients act on.
var shown = []string{
	"Allow", "Content-Encoding", "Expires", "Location", "Retry-After", "Vary", "Warning", "Www-Authenticate",
	"X-Content-Type-Options", "Etag", "Cache-Control", "Sec-Websocket-Protocol",
}

func writeHeaders(b *strings.Builder, h http.Header, n *names) {
	for _, name := range shown {
		values := h.Values(name)
		switch {
		case name == "Etag" && len(values) > 0:
			values = []string{"<etag>"}
		case name == "Cache-Control" && len(values) == 1 && values[0] == "no-cache, private":
			continue // as nearly always
		case name == "Cache-Control" && len(values) == 0:
			values = []string{"(none)"}
		}
		values = append([]string{}, values...)
		sort.Strings(values)
		for _, v := range values {
			fmt.Fprintf(b, "%s: %s\n", name, n.text(v))
		}
	}
	if h.Get("Audit-Id") == "" {
		b.WriteString("Audit-Id: (none)\n")
	}
}
