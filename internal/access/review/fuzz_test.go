package review

import (
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/access"
)

// A selector that cannot be read whole may only widen what is asked about.
func FuzzSelectors(f *testing.F) {
	for _, s := range [][4]string{{"a=b,c!=d", "x in (y,z),!w", "", ""}, {"", "", "In", "v"}, {"a==", "((", "Exists", ""}, {"", "", "NotIn", "\x00"}, {"=", "=", "DoesNotExist", "v"}} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	f.Fuzz(func(t *testing.T, fields, labels, operator, value string) {
		a := &access.Attributes{}
		texts := readSelectors(a, &authorizationv1.ResourceAttributes{
			FieldSelector: &authorizationv1.FieldSelectorAttributes{RawSelector: fields, Requirements: []metav1.FieldSelectorRequirement{
				{Key: "metadata.name", Operator: metav1.FieldSelectorOperator(operator), Values: []string{value}},
			}},
			LabelSelector: &authorizationv1.LabelSelectorAttributes{RawSelector: labels, Requirements: []metav1.LabelSelectorRequirement{
				{Key: "app", Operator: metav1.LabelSelectorOperator(operator), Values: []string{value}},
			}},
		})
		if len(texts) == 0 && fields == "" && len(a.Fields) != 1 {
			t.Errorf("%q %q: nothing is said, and %v is asked", operator, value, a.Fields)
		}
		if len(a.Fields) > len(fields)+1 || len(a.Labels) > len(labels)+1 {
			t.Errorf("%q %q: %v %v", fields, labels, a.Fields, a.Labels)
		}
	})
}
