package owned

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestSelects(t *testing.T) {
	expression := func(key string, op metav1.LabelSelectorOperator, values ...string) *metav1.LabelSelector {
		return &metav1.LabelSelector{
			MatchLabels:      map[string]string{"a": "1"},
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: op, Values: values}},
		}
	}
	for name, c := range map[string]struct {
		selector *metav1.LabelSelector
		labels   map[string]string
		want     bool
	}{
		"none":           {nil, map[string]string{"a": "1"}, false},
		"empty":          {&metav1.LabelSelector{}, map[string]string{"a": "1"}, false},
		"labels":         {&metav1.LabelSelector{MatchLabels: map[string]string{"a": "1"}}, map[string]string{"a": "1", "b": "2"}, true},
		"other value":    {&metav1.LabelSelector{MatchLabels: map[string]string{"a": "1"}}, map[string]string{"a": "2"}, false},
		"empty value":    {&metav1.LabelSelector{MatchLabels: map[string]string{"a": ""}}, nil, false},
		"in":             {expression("b", "In", "2", "3"), map[string]string{"a": "1", "b": "3"}, true},
		"not in":         {expression("b", "NotIn", "2", "3"), map[string]string{"a": "1", "b": "3"}, false},
		"both must hold": {expression("b", "Exists"), map[string]string{"b": "3"}, false},
		"no sense":       {expression("b", "Sometimes"), map[string]string{"a": "1", "b": "3"}, false},
	} {
		if got := Selects(c.selector, c.labels); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
