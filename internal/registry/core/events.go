package core

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/proa-dev/proa/internal/registry"
)

// eventLife is how long an Event lives from its last write.
const eventLife = time.Hour

// Events tell what happened to objects. They are stored once, as core/v1, and served in two groups:
// events.k8s.io gives the fields better names and checks more strictly.
var Events = registry.Resource[corev1.Event]{
	Kind: "Event", Name: "events", Short: []string{"ev"},
	Namespaced: true,
	Versions: []registry.Version[corev1.Event]{
		registry.Hub[corev1.Event]("v1").
			Checking(validateCoreEvent, validateCoreEventUpdate),
		registry.Spoke("v1", eventFromV1, eventToV1).In(eventsv1.GroupName).
			Selecting(eventsFieldNames).
			Checking(validateEvent, validateEventUpdate),
	},
	ValidateName: path.ValidatePathSegmentName,
	Columns:      eventColumns(),
	Fields:       eventFields(),

	CreateOnUpdate: true,
	NeverCollected: true,
	TTL:            func(*corev1.Event) time.Duration { return eventLife },
}

func eventFromV1(e *eventsv1.Event) (*corev1.Event, error) {
	hub := &corev1.Event{
		ObjectMeta:     e.ObjectMeta,
		InvolvedObject: e.Regarding, Related: e.Related,
		Type: e.Type, Reason: e.Reason, Action: e.Action, Message: e.Note,
		ReportingController: e.ReportingController, ReportingInstance: e.ReportingInstance,
		EventTime: e.EventTime, FirstTimestamp: e.DeprecatedFirstTimestamp, LastTimestamp: e.DeprecatedLastTimestamp,
		Count: e.DeprecatedCount, Source: e.DeprecatedSource,
	}
	if e.Series != nil {
		hub.Series = &corev1.EventSeries{Count: e.Series.Count, LastObservedTime: e.Series.LastObservedTime}
	}
	return hub, nil
}

func eventToV1(hub *corev1.Event) (*eventsv1.Event, error) {
	e := &eventsv1.Event{
		ObjectMeta: hub.ObjectMeta,
		Regarding:  hub.InvolvedObject, Related: hub.Related,
		Type: hub.Type, Reason: hub.Reason, Action: hub.Action, Note: hub.Message,
		ReportingController: hub.ReportingController, ReportingInstance: hub.ReportingInstance,
		EventTime: hub.EventTime, DeprecatedFirstTimestamp: hub.FirstTimestamp, DeprecatedLastTimestamp: hub.LastTimestamp,
		DeprecatedCount: hub.Count, DeprecatedSource: hub.Source,
	}
	if hub.Series != nil {
		e.Series = &eventsv1.EventSeries{Count: hub.Series.Count, LastObservedTime: hub.Series.LastObservedTime}
	}
	return e, nil
}

func eventFields() []registry.Field[corev1.Event] {
	type event = corev1.Event
	return []registry.Field[event]{
		{Name: "involvedObject.kind", Value: func(e *event) string { return e.InvolvedObject.Kind }},
		{Name: "involvedObject.namespace", Value: func(e *event) string { return e.InvolvedObject.Namespace }},
		{Name: "involvedObject.name", Value: func(e *event) string { return e.InvolvedObject.Name }},
		{Name: "involvedObject.uid", Value: func(e *event) string { return string(e.InvolvedObject.UID) }},
		{Name: "involvedObject.apiVersion", Value: func(e *event) string { return e.InvolvedObject.APIVersion }},
		{Name: "involvedObject.resourceVersion", Value: func(e *event) string { return e.InvolvedObject.ResourceVersion }},
		{Name: "involvedObject.fieldPath", Value: func(e *event) string { return e.InvolvedObject.FieldPath }},
		{Name: "reason", Value: func(e *event) string { return e.Reason }},
		{Name: "reportingComponent", Value: func(e *event) string { return e.ReportingController }},
		{Name: "source", Value: func(e *event) string { return firstSet(e.Source.Component, e.ReportingController) }},
		{Name: "type", Value: func(e *event) string { return e.Type }},
	}
}

// eventsFieldNames are the names that selectors use in events.k8s.io.
var eventsFieldNames = map[string]string{
	"reason":                    "reason",
	"regarding.kind":            "involvedObject.kind",
	"regarding.namespace":       "involvedObject.namespace",
	"regarding.name":            "involvedObject.name",
	"regarding.uid":             "involvedObject.uid",
	"regarding.apiVersion":      "involvedObject.apiVersion",
	"regarding.resourceVersion": "involvedObject.resourceVersion",
	"regarding.fieldPath":       "involvedObject.fieldPath",
	"reportingController":       "reportingComponent",
	"type":                      "type",
}

func eventColumns() []registry.Column[corev1.Event] {
	type event = corev1.Event
	doc, object := event{}.SwaggerDoc(), corev1.ObjectReference{}.SwaggerDoc()
	return []registry.Column[event]{
		{Name: "Last Seen", Description: doc["lastTimestamp"], Value: func(e *event) any { return eventLastSeen(e) }},
		{Name: "Type", Description: doc["type"], Value: func(e *event) any { return e.Type }},
		{Name: "Reason", Description: doc["reason"], Value: func(e *event) any { return e.Reason }},
		{Name: "Object", Description: doc["involvedObject"], Value: func(e *event) any {
			kind := strings.ToLower(e.InvolvedObject.Kind)
			if e.InvolvedObject.Name == "" {
				return kind
			}
			return kind + "/" + e.InvolvedObject.Name
		}},
		{Name: "Subobject", Wide: true, Description: object["fieldPath"], Value: func(e *event) any { return e.InvolvedObject.FieldPath }},
		{Name: "Source", Wide: true, Description: doc["source"], Value: func(e *event) any {
			component, host := firstSet(e.Source.Component, e.ReportingController), firstSet(e.Source.Host, e.ReportingInstance)
			if host == "" {
				return component
			}
			return fmt.Sprintf("%s, %s", component, host)
		}},
		{Name: "Message", Description: doc["message"], Value: func(e *event) any { return strings.TrimSpace(e.Message) }},
		{Name: "First Seen", Wide: true, Description: doc["firstTimestamp"], Value: func(e *event) any { return eventFirstSeen(e) }},
		{Name: "Count", Wide: true, Description: doc["count"], Value: func(e *event) any {
			if e.Series != nil {
				return int64(e.Series.Count)
			}
			return int64(max(e.Count, 1))
		}},
		{Name: "Name", Format: "name", Wide: true, Description: metav1.ObjectMeta{}.SwaggerDoc()["name"], Value: func(e *event) any { return e.Name }},
	}
}

func eventFirstSeen(e *corev1.Event) string {
	if e.FirstTimestamp.IsZero() {
		return registry.Since(metav1.Time(e.EventTime))
	}
	return registry.Since(e.FirstTimestamp)
}

func eventLastSeen(e *corev1.Event) string {
	switch {
	case e.Series != nil:
		return registry.Since(metav1.Time(e.Series.LastObservedTime))
	case e.LastTimestamp.IsZero():
		return eventFirstSeen(e)
	}
	return registry.Since(e.LastTimestamp)
}

func firstSet(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
