package apiserver

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/encoding"
)

// decode reads the call's body as an object of its resource and returns the hub, defaulted and free to
// be changed.
func (c *call) decode() (registry.Object, error) {
	if c.body.object != nil {
		return encoding.ToHub(c.typ, c.version, c.body.object.DeepCopyObject().(registry.Object))
	}
	o := c.version.New()
	if err := c.decodeInto(o, c.version.GroupVersionKind()); err != nil {
		return nil, err
	}
	return encoding.ToHub(c.typ, c.version, o)
}

// decodeInto reads the body as an object of the kind, which may be any.
func (c *call) decodeInto(o runtime.Object, want schema.GroupVersionKind) error {
	got, strict, err := c.unmarshal(o)
	if got.Empty() {
		got = want
	}
	if err != nil {
		if syntax := c.checkSyntax(); syntax != nil {
			return badRequest("the object provided is unrecognized (must be of type %s): %v (%s)", want.Kind, syntax, summary(c.body.data))
		}
		return badRequest("%s in version %q cannot be handled as a %s: %v", got.Kind, got.Version, want.Kind, err)
	}
	if got.Kind != "" && got.Kind != want.Kind {
		return badRequest("%s in version %q cannot be handled as a %s: converting (%s) to (%s): unknown conversion",
			got.Kind, got.Version, want.Kind, goName(got), goName(want))
	}
	if !got.GroupVersion().Empty() && got.GroupVersion() != want.GroupVersion() {
		return badRequest("%s in version %q cannot be handled as a %s: no kind %q is registered for version %q",
			got.Kind, got.Version, want.Kind, got.Kind, got.GroupVersion())
	}
	return c.reportStrict(strict, want)
}

// checkSyntax sees that the body says, or leaves open, what it is: anything but an object of a known
// encoding does not.
func (c *call) checkSyntax() error {
	data := c.body.data
	switch {
	case encoding.IsProtobuf(data):
		return nil
	case c.body.media == mediaProtobuf && len(data) == 0:
		return errors.New("empty data")
	case c.body.media == mediaProtobuf:
		return errors.New("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
	}
	if c.body.media == mediaYAML {
		var err error
		if data, _, err = encoding.YAMLToJSON(data); err != nil {
			return err
		}
	}
	var kind struct {
		APIVersion string `json:"apiVersion,omitempty"`
		Kind       string `json:"kind,omitempty"`
	}
	if err := json.Unmarshal(data, &kind); err != nil {
		return fmt.Errorf("couldn't get version/kind; json parse error: %v", err)
	}
	return nil
}

// summary is the beginning of a body, for a message.
func summary(data []byte) string {
	const most = 30
	if len(data) == 0 {
		return "<empty>"
	}
	head, more := data, ""
	if len(data) > most {
		head, more = data[:most], " ..."
	}
	if data[0] == '{' {
		return string(head) + more
	}
	return hex.EncodeToString(head) + more
}

// decodeBody reads the body of an action: an object of this process, or bytes.
func (c *call) decodeBody(into registry.Object, want schema.GroupVersionKind) error {
	if c.body.object == nil {
		return c.decodeInto(into, want)
	}
	if reflect.TypeOf(c.body.object) != reflect.TypeOf(into) {
		return badRequest("expected a %T, got a %T", into, c.body.object)
	}
	assign(into, c.body.object.DeepCopyObject().(registry.Object))
	return nil
}

// assign makes *to a copy of *from, which has the same Go type.
func assign(to, from registry.Object) {
	reflect.ValueOf(to).Elem().Set(reflect.ValueOf(from).Elem())
}

func goName(gvk schema.GroupVersionKind) string {
	return fmt.Sprintf("%s.%s", gvk.Version, gvk.Kind)
}

func (c *call) unmarshal(o runtime.Object) (got schema.GroupVersionKind, strict []error, err error) {
	data := c.body.data
	if c.body.media == mediaProtobuf || encoding.IsProtobuf(data) {
		got, err = encoding.DecodeProtobuf(data, o)
		return got, nil, err
	}
	if c.body.media == mediaYAML {
		var duplicate error
		if data, duplicate, err = encoding.YAMLToJSON(data); err != nil {
			return got, nil, err
		}
		if duplicate != nil {
			strict = append(strict, duplicate)
		}
	}
	more, err := encoding.DecodeJSON(data, o)
	return o.GetObjectKind().GroupVersionKind(), append(strict, more...), err
}

// reportStrict does with unknown and duplicate fields what the client asked for.
func (c *call) reportStrict(strict []error, want schema.GroupVersionKind) error {
	if len(strict) == 0 || c.validation == metav1.FieldValidationIgnore {
		return nil
	}
	texts := make([]string, len(strict))
	for i, e := range strict {
		texts[i] = e.Error()
	}
	if c.validation == metav1.FieldValidationStrict {
		return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: strict decoding error: %s",
			want.Kind, want.Version, want.Kind, strings.Join(texts, ", ")))
	}
	for _, t := range texts {
		// The YAML library tells of all duplicate keys in one error, a line each.
		for line := range strings.SplitSeq(strings.TrimPrefix(t, "yaml: unmarshal errors:\n"), "\n") {
			c.warn(strings.TrimSpace(line))
		}
	}
	return nil
}

// checkNamespace sees that body and path agree, and fills the body's.
func (c *call) checkNamespace(o metav1.Object) error {
	want := c.namespace
	if !c.typ.Namespaced {
		want = ""
	}
	switch o.GetNamespace() {
	case want:
	case "":
		o.SetNamespace(want)
	default:
		return badRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	return nil
}

// checkName sees that an update's body names the object in the path.
func (c *call) checkName(o metav1.Object) error {
	switch o.GetName() {
	case c.name:
		return nil
	case "":
		return badRequest("the name of the object (%s based on URL) was undeterminable: name must be provided", c.name)
	default:
		return badRequest("the name of the object (%s) does not match the name on the URL (%s)", o.GetName(), c.name)
	}
}
