package review

import (
	"errors"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/proa-dev/proa/internal/access"
)

// readSelectors puts a review's selectors into the attributes. Requirements that cannot be read are left
// out, which makes the question broader, never narrower; the texts tell which selectors had such.
func readSelectors(a *access.Attributes, r *authorizationv1.ResourceAttributes) (texts []string) {
	if r.FieldSelector != nil {
		var err error
		if a.Fields, err = readFields(r.FieldSelector); err != nil {
			texts = append(texts, ignored("fieldSelector", len(a.Fields)))
		}
	}
	if r.LabelSelector != nil {
		var err error
		if a.Labels, err = readLabels(r.LabelSelector); err != nil {
			texts = append(texts, ignored("labelSelector", len(a.Labels)))
		}
	}
	return texts
}

func ignored(selector string, kept int) string {
	partially := ""
	if kept > 0 {
		partially = "partially "
	}
	return fmt.Sprintf("spec.resourceAttributes.%s %signored due to parse error", selector, partially)
}

func readFields(s *authorizationv1.FieldSelectorAttributes) (all fields.Requirements, err error) {
	if s.RawSelector != "" {
		selector, err := fields.ParseSelector(s.RawSelector)
		if err != nil {
			return nil, err
		}
		return selector.Requirements(), nil
	}
	operators := map[metav1.FieldSelectorOperator]selection.Operator{
		metav1.FieldSelectorOpIn: selection.Equals, metav1.FieldSelectorOpNotIn: selection.NotEquals,
	}
	for _, q := range s.Requirements {
		operator, ok := operators[q.Operator]
		switch {
		case len(q.Values) > 1:
			err = errors.Join(err, errors.New("fieldSelectors do not yet support multiple values"))
		case !ok:
			err = errors.Join(err, fmt.Errorf("fieldSelectors do not yet support %v", q.Operator))
		case len(q.Values) != 1:
			err = errors.Join(err, errors.New("fieldSelectors in must have one value"))
		default:
			all = append(all, fields.Requirement{Field: q.Key, Operator: operator, Value: q.Values[0]})
		}
	}
	return all, err
}

func readLabels(s *authorizationv1.LabelSelectorAttributes) (all labels.Requirements, err error) {
	if s.RawSelector != "" {
		selector, err := labels.Parse(s.RawSelector)
		if err != nil {
			return nil, err
		}
		all, _ = selector.Requirements()
		return all, nil
	}
	operators := map[metav1.LabelSelectorOperator]selection.Operator{
		metav1.LabelSelectorOpIn: selection.In, metav1.LabelSelectorOpNotIn: selection.NotIn,
		metav1.LabelSelectorOpExists: selection.Exists, metav1.LabelSelectorOpDoesNotExist: selection.DoesNotExist,
	}
	for _, q := range s.Requirements {
		operator, ok := operators[q.Operator]
		if !ok {
			err = errors.Join(err, fmt.Errorf("%q is not a valid label selector operator", q.Operator))
			continue
		}
		one, e := labels.NewRequirement(q.Key, operator, q.Values)
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		all = append(all, *one)
	}
	return all, err
}
