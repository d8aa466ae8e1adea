package apiserver

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/proa-dev/proa/internal/cache"
	"github.com/proa-dev/proa/internal/registry"
)

func parseListOptions(q url.Values) (metav1.ListOptions, error) {
	o := metav1.ListOptions{
		LabelSelector:        q.Get("labelSelector"),
		FieldSelector:        q.Get("fieldSelector"),
		ResourceVersion:      q.Get("resourceVersion"),
		ResourceVersionMatch: metav1.ResourceVersionMatch(q.Get("resourceVersionMatch")),
		Continue:             q.Get("continue"),
		Watch:                q.Has("watch") && parseBool(q.Get("watch")),
		AllowWatchBookmarks:  q.Has("allowWatchBookmarks") && parseBool(q.Get("allowWatchBookmarks")),
	}
	var err error
	if o.SendInitialEvents, err = optionalBool(q, "sendInitialEvents"); err != nil {
		return o, err
	}
	if o.TimeoutSeconds, err = optionalInt(q, "timeoutSeconds"); err != nil {
		return o, err
	}
	limit, err := optionalInt(q, "limit")
	if limit != nil {
		o.Limit = *limit
	}
	return o, err
}

// optionalInt reads a number; it is nil if there is none.
func optionalInt(q url.Values, name string) (*int64, error) {
	if !q.Has(name) {
		return nil, nil
	}
	n, err := strconv.ParseInt(q.Get(name), 10, 64)
	if err != nil {
		return nil, badRequest("%v", err)
	}
	return &n, nil
}

// isTrue reads a boolean parameter; one that is not there is false.
func isTrue(q url.Values, name string) bool { return q.Has(name) && parseBool(q.Get(name)) }

// checkListOptions refuses combinations that have no meaning, with kube-apiserver's words.
func (c *call) checkListOptions() error {
	// What a watch by path says is checked as if it were a list.
	check := checkOfList
	if c.list.Watch {
		check = checkOfWatch
	}
	if errs := check(&c.list, field.NewPath("resourceVersionMatch")); len(errs) > 0 {
		return invalidOptions("ListOptions", errs)
	}
	return nil
}

func checkOfWatch(o *metav1.ListOptions, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	notOlder := o.ResourceVersionMatch == metav1.ResourceVersionMatchNotOlderThan
	if o.SendInitialEvents != nil && !notOlder {
		errs = append(errs, field.Forbidden(path, fmt.Sprintf("sendInitialEvents requires setting resourceVersionMatch to %s", metav1.ResourceVersionMatchNotOlderThan)))
	}
	if o.ResourceVersionMatch != "" && o.SendInitialEvents == nil {
		errs = append(errs, field.Forbidden(path, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"))
	}
	if o.ResourceVersionMatch != "" && !notOlder {
		errs = append(errs, field.NotSupported(path, o.ResourceVersionMatch, []string{string(metav1.ResourceVersionMatchNotOlderThan)}))
	}
	// A watch from no revision in particular has NotOlderThan for its match, said or not.
	legacy := o.SendInitialEvents == nil && (o.ResourceVersion == "" || o.ResourceVersion == "0")
	if o.Continue != "" && (o.ResourceVersionMatch != "" || legacy) {
		errs = append(errs, field.Forbidden(path, "resourceVersionMatch is forbidden when continue is provided"))
	}
	return errs
}

func checkOfList(o *metav1.ListOptions, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if o.ResourceVersionMatch != "" {
		errs = checkMatchOfList(o, path)
	}
	if o.SendInitialEvents != nil {
		errs = append(errs, field.Forbidden(field.NewPath("sendInitialEvents"), "sendInitialEvents is forbidden for list"))
	}
	return errs
}

func checkMatchOfList(o *metav1.ListOptions, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if o.ResourceVersion == "" {
		errs = append(errs, field.Forbidden(path, "resourceVersionMatch is forbidden unless resourceVersion is provided"))
	}
	if o.Continue != "" {
		errs = append(errs, field.Forbidden(path, "resourceVersionMatch is forbidden when continue is provided"))
	}
	if m := o.ResourceVersionMatch; m != metav1.ResourceVersionMatchExact && m != metav1.ResourceVersionMatchNotOlderThan {
		errs = append(errs, field.NotSupported(path, o.ResourceVersionMatch, []string{string(metav1.ResourceVersionMatchExact), string(metav1.ResourceVersionMatchNotOlderThan), ""}))
	}
	if o.ResourceVersionMatch == metav1.ResourceVersionMatchExact && o.ResourceVersion == "0" {
		errs = append(errs, field.Forbidden(path, `resourceVersionMatch "exact" is forbidden for resourceVersion "0"`))
	}
	return errs
}

// parseRevision reads a resourceVersion; "" and "0" are 0, and what no revision will ever reach is the last one.
// kube-apiserver calls what is none a bad request in a list, and an error of its own elsewhere.
func parseRevision(s string) (int64, error) {
	if s == "" || s == "0" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, field.Invalid(field.NewPath("resourceVersion"), s, err.Error())
	}
	return int64(min(n, math.MaxInt64)), nil
}

// readAt says how fresh a get must be.
func readAt(resourceVersion string) (cache.At, error) {
	revision, err := parseRevision(resourceVersion)
	switch {
	case err != nil:
		return cache.At{}, err
	case resourceVersion == "":
		return cache.At{Consistency: cache.Consistent}, nil
	case revision == 0:
		return cache.At{Consistency: cache.Any}, nil
	default:
		return cache.At{Consistency: cache.NotOlderThan, Revision: revision}, nil
	}
}

// selection is a list's or a watch's selectors, ready to match items.
type selection struct {
	cache.Selector
	// fields and labels are the selectors as given, for authorization and admission.
	fields fields.Selector
	labels labels.Selector
}

// selects tells whether the item is in the selection; its namespace is known to be right.
func (s *selection) selects(item *cache.Item) bool {
	return s.Selector.Selects(item)
}

// narrow tells whether there is any selector.
func (s *selection) narrow() bool {
	return !s.labels.Empty() || !s.fields.Empty()
}

// parseSelection reads the call's selectors. A field metadata.name that differs from the name in the
// path is an error.
func (c *call) parseSelection() (*selection, error) {
	s := &selection{labels: labels.Everything(), fields: fields.Everything()}
	s.Namespace = c.namespace
	var err error
	if text := c.list.LabelSelector; text != "" {
		if s.labels, err = labels.Parse(text); err != nil {
			return nil, badRequest("%v", err)
		}
	}
	if text := c.list.FieldSelector; text != "" {
		if s.fields, err = fields.ParseSelector(text); err != nil {
			return nil, badRequest("%v", err)
		}
	}
	if !s.labels.Empty() {
		s.Labels = s.labels
		s.Prepare()
	}
	for _, r := range s.fields.Requirements() {
		if err := c.addFieldDemand(s, r); err != nil {
			return nil, err
		}
	}
	return s, c.nameInSelection(s)
}

func (c *call) nameInSelection(s *selection) error {
	if c.name == "" {
		return nil
	}
	if s.Name != "" && s.Name != c.name {
		return badRequest("fieldSelector metadata.name doesn't match requested name")
	}
	if errs := validation.NameIsDNSSubdomain(c.name, false); len(errs) > 0 && c.typ.ValidateName == nil {
		return badRequest("%s", errs[0])
	}
	s.Name = c.name
	return nil
}

func (c *call) addFieldDemand(s *selection, r fields.Requirement) error {
	not := r.Operator == "!="
	switch {
	case r.Field == "metadata.name" && !not && s.Name == "" && r.Value != "":
		s.Name = r.Value
		return nil
	case r.Field == "metadata.namespace" && !not && c.typ.Namespaced && r.Value != "" && (s.Namespace == "" || s.Namespace == r.Value):
		s.Namespace = r.Value
		return nil
	case r.Field == "metadata.name":
		s.Fields = append(s.Fields, cache.FieldDemand{Field: cache.FieldName, Value: r.Value, Not: not})
		return nil
	case r.Field == "metadata.namespace":
		s.Fields = append(s.Fields, cache.FieldDemand{Field: cache.FieldNamespace, Value: r.Value, Not: not})
		return nil
	}
	f := c.typ.Field(c.version, r.Field)
	if f == nil {
		return unknownField(c.typ, r.Field)
	}
	i := slices.IndexFunc(c.typ.Fields, func(g registry.TypeField) bool { return g.Name == f.Name })
	s.Fields = append(s.Fields, cache.FieldDemand{Field: i, Value: r.Value, Not: not})
	return nil
}

func unknownField(t *registry.Type, name string) error {
	if t.UnknownField != "" {
		return badRequest(t.UnknownField, name)
	}
	if len(t.Fields) == 0 {
		return badRequest("%q is not a known field selector: only %q, %q", name, "metadata.name", "metadata.namespace")
	}
	return badRequest("field label not supported: %s", name)
}
