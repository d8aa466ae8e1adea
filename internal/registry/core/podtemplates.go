package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/field"
)

// PodTemplates are templates of pods by themselves, for whoever makes pods without a kind of its own.
var PodTemplates = registry.Resource[corev1.PodTemplate]{
	Kind: "PodTemplate", Name: "podtemplates",
	Namespaced: true,
	Versions:   []registry.Version[corev1.PodTemplate]{registry.Hub[corev1.PodTemplate]("v1")},
	Default:    func(t *corev1.PodTemplate) { DefaultPodTemplate(&t.Template) },
	Validate: func(t *corev1.PodTemplate) field.ErrorList {
		return ValidatePodTemplate(&t.Template, field.NewPath("template"))
	},
	Warn:           warnPodTemplate,
	Spec:           func(t *corev1.PodTemplate) any { return &t.Template },
	Columns:        podTemplateColumns(),
	AnswersDeleted: true,
}

func warnPodTemplate(new, old *corev1.PodTemplate) []string {
	if old != nil && equality.Semantic.DeepEqual(new.Template, old.Template) {
		return nil
	}
	return PodTemplateWarnings(&new.Template, field.NewPath("template"))
}

func podTemplateColumns() []registry.Column[corev1.PodTemplate] {
	template := func(t *corev1.PodTemplate) *corev1.PodTemplateSpec { return &t.Template }
	containers, images := registry.Containers(template), registry.Images(template)
	// A template is little more than these, so they are always shown.
	containers.Wide, images.Wide = false, false
	return []registry.Column[corev1.PodTemplate]{
		containers,
		images,
		{
			Name: "Pod Labels", Description: "The labels for the pod template.",
			Value: func(t *corev1.PodTemplate) any { return labels.FormatLabels(t.Template.Labels) },
		},
	}
}
