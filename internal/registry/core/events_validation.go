package core

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/proa-dev/proa/internal/registry/field"
)

// Events of core/v1 are checked as they always were; those with an eventTime, which only newer clients
// set, a little more. events.k8s.io/v1 wants every field right on create, and lets an update change
// nothing but the series. Its errors name fields as core/v1 does, but for reportingController.

func validateCoreEvent(e *corev1.Event) field.ErrorList {
	return validateEventBasics(e, "reportingComponent")
}

func validateCoreEventUpdate(new, _ *corev1.Event) field.ErrorList { return validateCoreEvent(new) }

func validateEvent(e *corev1.Event) field.ErrorList {
	errs := validateEventBasics(e, "reportingController")
	errs = append(errs, checkDNSSubdomain(e.Name, field.NewPath("metadata", "name"))...)
	errs = append(errs, validateEventSeries(e)...)
	if e.EventTime.IsZero() {
		errs = append(errs, field.Required(field.NewPath("eventTime"), ""))
	}
	if e.Type != corev1.EventTypeNormal && e.Type != corev1.EventTypeWarning {
		errs = append(errs, field.Invalid(field.NewPath("type"), "", fmt.Sprintf("has invalid value: %v", e.Type)))
	}
	unset := func(name string, zero bool) {
		if !zero {
			errs = append(errs, field.Invalid(field.NewPath(name), "", "needs to be unset"))
		}
	}
	unset("firstTimestamp", e.FirstTimestamp.IsZero())
	unset("lastTimestamp", e.LastTimestamp.IsZero())
	unset("count", e.Count == 0)
	unset("source", e.Source == corev1.EventSource{})
	return errs
}

func validateEventSeries(e *corev1.Event) field.ErrorList {
	if e.Series == nil {
		return nil
	}
	var errs field.ErrorList
	if e.Series.Count < 2 {
		errs = append(errs, field.Invalid(field.NewPath("series.count"), "", "should be at least 2"))
	}
	if e.Series.LastObservedTime.IsZero() {
		errs = append(errs, field.Required(field.NewPath("series.lastObservedTime"), ""))
	}
	return errs
}

func validateEventUpdate(new, old *corev1.Event) field.ErrorList {
	errs := validateEventBasics(new, "reportingController")
	if !equality.Semantic.DeepEqual(new.Series, old.Series) {
		errs = append(errs, validateEventSeries(new)...)
	}
	fixed := func(name string, is, was any) {
		errs = append(errs, apivalidation.ValidateImmutableField(is, was, field.NewPath(name).Common())...)
	}
	fixed("involvedObject", new.InvolvedObject, old.InvolvedObject)
	fixed("reason", new.Reason, old.Reason)
	fixed("message", new.Message, old.Message)
	fixed("source", new.Source, old.Source)
	fixed("firstTimestamp", new.FirstTimestamp, old.FirstTimestamp)
	fixed("lastTimestamp", new.LastTimestamp, old.LastTimestamp)
	fixed("count", new.Count, old.Count)
	fixed("type", new.Type, old.Type)
	// JSON carries microseconds; some clients wrote nanoseconds in protobuf and read them back cut.
	if !new.EventTime.Truncate(time.Microsecond).Equal(old.EventTime.Truncate(time.Microsecond)) {
		fixed("eventTime", new.EventTime, old.EventTime)
	}
	fixed("action", new.Action, old.Action)
	fixed("related", new.Related, old.Related)
	fixed("reportingController", new.ReportingController, old.ReportingController)
	fixed("reportingInstance", new.ReportingInstance, old.ReportingInstance)
	return errs
}

// validateEventBasics is what every Event must pass. controllerField is what the request's version calls
// the reporting controller.
func validateEventBasics(e *corev1.Event, controllerField string) field.ErrorList {
	errs := validateEventNamespace(e)
	if !e.EventTime.IsZero() {
		path := field.NewPath(controllerField)
		if e.ReportingController == "" {
			errs = append(errs, field.Required(path, ""))
		}
		errs = append(errs, checkQualifiedName(e.ReportingController, path)...)
		errs = append(errs, checkEventText("reportingInstance", e.ReportingInstance)...)
		errs = append(errs, checkEventText("action", e.Action)...)
		errs = append(errs, checkEventText("reason", e.Reason)...)
		if limit := 1024; len(e.Message) > limit {
			errs = append(errs, field.Invalid(field.NewPath("message"), "", fmt.Sprintf("can have at most %v characters", limit)))
		}
	}
	return append(errs, invalids(field.NewPath("namespace"), e.Namespace, validation.IsDNS1123Subdomain(e.Namespace))...)
}

func checkEventText(name, text string) field.ErrorList {
	const limit = 128
	switch {
	case text == "":
		return field.ErrorList{field.Required(field.NewPath(name), "")}
	case len(text) > limit:
		return field.ErrorList{field.Invalid(field.NewPath(name), "", fmt.Sprintf("can have at most %v characters", limit))}
	}
	return nil
}

// validateEventNamespace wants an Event in the namespace of its object, or in default where that has none.
func validateEventNamespace(e *corev1.Event) field.ErrorList {
	about := e.InvolvedObject.Namespace
	ok := e.Namespace == about
	switch {
	case about == "":
		ok = ok || e.Namespace == metav1.NamespaceDefault || !e.EventTime.IsZero() && e.Namespace == metav1.NamespaceSystem
	case !e.EventTime.IsZero():
		ok = true
	}
	if ok {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("involvedObject", "namespace"), about, "does not match event.namespace")}
}
