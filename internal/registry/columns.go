package registry

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

var metaDoc = metav1.ObjectMeta{}.SwaggerDoc()

// Age is the column that tells how long ago an object was created.
func Age[T any]() Column[T] {
	return Column[T]{
		Name:        "Age",
		Description: metaDoc["creationTimestamp"],
		Value: func(t *T) any {
			return Since(any(t).(Object).GetCreationTimestamp())
		},
	}
}

// CreatedAt is the column of kinds that show the moment itself.
func CreatedAt[T any]() Column[T] {
	return Column[T]{
		Name:        "Created At",
		Type:        "date",
		Description: metaDoc["creationTimestamp"],
		Value: func(t *T) any {
			return any(t).(Object).GetCreationTimestamp().UTC().Format(time.RFC3339)
		},
	}
}

// Since tells a time as people say it in tables: "5m", "3d4h", or "<unknown>".
func Since(t metav1.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(time.Since(t.Time))
}
