package apiserver

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/proa-dev/proa/internal/access"
	"github.com/proa-dev/proa/internal/ownership"
	"github.com/proa-dev/proa/internal/registry"
)

// call is one request for a resource, parsed: what every verb works on. It comes from HTTP or from a
// component in this process.
type call struct {
	user    *access.User
	res     *resource
	typ     *registry.Type // res.Type
	version *registry.TypeVersion

	verb                         string
	namespace, name, subresource string
	rest                         string

	body body
	// manager is who owns the fields that a write sets.
	manager string
	// options are those of the verb: exactly one of them is used.
	list      metav1.ListOptions
	get       metav1.GetOptions
	create    metav1.CreateOptions
	update    metav1.UpdateOptions
	patch     metav1.PatchOptions
	delete    metav1.DeleteOptions
	patchType types.PatchType

	dryRun     bool
	validation string // of unknown fields: Ignore, Warn or Strict

	// warn adds a Warning header to the answer.
	warn func(string)
}

// body is what a write carries: an object of this process, or bytes.
type body struct {
	object registry.Object // not ours: copied before it is changed
	data   []byte
	media  string
	room   *bytes.Buffer // where data lies; nil if that is not for the next body
}

// resourceName is how errors name the resource.
func (c *call) resourceName() string {
	if c.subresource != "" {
		return c.typ.Name + "/" + c.subresource
	}
	return c.typ.Name
}

// parseOptions reads the query parameters of the verb.
func (c *call) parseOptions(q url.Values, userAgent string) error {
	var err error
	switch c.verb {
	case "get":
		if isTrue(q, "export") {
			return badRequest("the export parameter, deprecated since v1.14, is no longer supported")
		}
		c.get.ResourceVersion = q.Get("resourceVersion")
	case "list", "watch":
		c.list, err = parseListOptions(q)
	case "deletecollection":
		if c.list, err = parseListOptions(q); err == nil {
			err = c.parseDelete(q)
		}
	case "delete":
		err = c.parseDelete(q)
	case "create":
		c.create = metav1.CreateOptions{DryRun: q["dryRun"], FieldManager: q.Get("fieldManager"), FieldValidation: q.Get("fieldValidation")}
	case "update":
		c.update = metav1.UpdateOptions{DryRun: q["dryRun"], FieldManager: q.Get("fieldManager"), FieldValidation: q.Get("fieldValidation")}
	case "patch":
		c.patch = metav1.PatchOptions{DryRun: q["dryRun"], FieldManager: q.Get("fieldManager"), FieldValidation: q.Get("fieldValidation")}
		c.patch.Force, err = optionalBool(q, "force")
	}
	if err != nil {
		return err
	}
	return c.settleOptions(userAgent)
}

// settleOptions checks the verb's options and derives what all writes look at.
func (c *call) settleOptions(userAgent string) error {
	switch c.verb {
	case "create":
		if o := &c.create; len(o.DryRun) > 0 || o.FieldManager != "" || o.FieldValidation != "" {
			if errs := validation.ValidateCreateOptions(o); len(errs) > 0 {
				return invalidOptions("CreateOptions", errs)
			}
		}
		c.settle(c.create.DryRun, c.create.FieldManager, c.create.FieldValidation, userAgent)
	case "update":
		if o := &c.update; len(o.DryRun) > 0 || o.FieldManager != "" || o.FieldValidation != "" {
			if errs := validation.ValidateUpdateOptions(o); len(errs) > 0 {
				return invalidOptions("UpdateOptions", errs)
			}
		}
		c.settle(c.update.DryRun, c.update.FieldManager, c.update.FieldValidation, userAgent)
	case "patch":
		if o := &c.patch; len(o.DryRun) > 0 || o.FieldManager != "" || o.FieldValidation != "" || o.Force != nil || c.patchType == applyPatch {
			if errs := validation.ValidatePatchOptions(o, c.patchType); len(errs) > 0 {
				return invalidOptions("PatchOptions", errs)
			}
		}
		c.settle(c.patch.DryRun, c.patch.FieldManager, c.patch.FieldValidation, userAgent)
	case "list", "watch", "deletecollection":
		return c.checkListOptions()
	}
	return nil
}

func (c *call) settle(dryRun []string, manager, fieldValidation, userAgent string) {
	c.dryRun = len(dryRun) > 0
	c.manager = ownership.ManagerName(manager, userAgent)
	c.validation = fieldValidation
	if c.validation == "" {
		c.validation = metav1.FieldValidationWarn
	}
}

// admissionOptions are the options as admission sees them.
func (c *call) admissionOptions() runtime.Object {
	switch c.verb {
	case "create":
		return &c.create
	case "update":
		return &c.update
	case "patch":
		return &c.patch
	default:
		return &c.delete
	}
}

func optionalBool(q url.Values, name string) (*bool, error) {
	if !q.Has(name) {
		return nil, nil
	}
	v := parseBool(q.Get(name))
	return &v, nil
}

// parseBool reads a boolean parameter as apimachinery does: anything but false and 0 is true, the bare
// name included.
func parseBool(s string) bool {
	return s != "0" && !strings.EqualFold(s, "false")
}

// key is the object's place among those of its type: "namespace/name", or "name".
func (c *call) key() string {
	if c.typ.Namespaced {
		return c.namespace + "/" + c.name
	}
	return c.name
}

func (c *call) String() string {
	return fmt.Sprintf("%s %s %s/%s", c.verb, c.resourceName(), c.namespace, c.name)
}
