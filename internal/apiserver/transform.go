package apiserver

import (
	"net/http"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/proa-dev/proa/internal/registry"
	"github.com/proa-dev/proa/internal/registry/encoding"
)

// transforms that clients may ask for: of one object, and of a list.
var (
	objectTransforms = []string{"Table", "PartialObjectMetadata"}
	listTransforms   = []string{"Table", "PartialObjectMetadataList"}
	watchTransforms  = objectTransforms
)

var metaDoc = metav1.ObjectMeta{}.SwaggerDoc()

// includeObject values, from the query of a request for a Table.
func includeObject(r *http.Request) (metav1.IncludeObjectPolicy, error) {
	switch p := metav1.IncludeObjectPolicy(r.URL.Query().Get("includeObject")); p {
	case "":
		return metav1.IncludeMetadata, nil
	case metav1.IncludeNone, metav1.IncludeMetadata, metav1.IncludeObject:
		return p, nil
	default:
		return "", badRequest("Unable to convert to Table as requested: includeObject: Invalid value: %q: must be 'Metadata', 'Object', 'None', or empty", p)
	}
}

// transform turns one object into what the format asks for.
func (c *call) transform(r *http.Request, f format, o registry.Object) (runtime.Object, error) {
	if f.as == "PartialObjectMetadata" {
		return partial(o, f), nil
	}
	policy, err := includeObject(r)
	if err != nil {
		return nil, err
	}
	t := c.newTable(f)
	t.ResourceVersion = o.GetResourceVersion()
	return t, c.addRow(t, o, policy, f)
}

// newTable is a table with its header.
func (c *call) newTable(f format) *metav1.Table {
	t := &metav1.Table{Rows: []metav1.TableRow{}}
	t.SetGroupVersionKind(schema.GroupVersionKind{Group: metav1.GroupName, Version: f.asVersion, Kind: "Table"})
	if !c.namesItself() {
		t.ColumnDefinitions = append(t.ColumnDefinitions, metav1.TableColumnDefinition{
			Name: "Name", Type: "string", Format: "name", Description: metaDoc["name"],
		})
	}
	for _, col := range c.columns() {
		if col.Name == "" {
			continue
		}
		priority := int32(0)
		if col.Wide {
			priority = 1
		}
		t.ColumnDefinitions = append(t.ColumnDefinitions, metav1.TableColumnDefinition{
			Name: col.Name, Type: col.Type, Format: col.Format, Description: col.Description, Priority: priority,
		})
	}
	return t
}

// namesItself tells that the type's own columns include the name.
func (c *call) namesItself() bool {
	return slices.ContainsFunc(c.columns(), func(col registry.TypeColumn) bool { return col.Name == "Name" })
}

func (c *call) addRow(t *metav1.Table, o registry.Object, policy metav1.IncludeObjectPolicy, f format) error {
	row := metav1.TableRow{Cells: make([]any, 0, len(c.columns())+1)}
	if !c.namesItself() {
		row.Cells = append(row.Cells, o.GetName())
	}
	for _, col := range c.columns() {
		row.Cells = append(row.Cells, col.Value(o))
	}
	switch policy {
	case metav1.IncludeMetadata:
		data, err := encoding.JSON(partial(o, f))
		if err != nil {
			return err
		}
		row.Object.Raw = data
	case metav1.IncludeObject:
		data, err := c.wholeJSON(o)
		if err != nil {
			return err
		}
		row.Object.Raw = data
	}
	t.Rows = append(t.Rows, row)
	return nil
}

// columns are those of what the call shows: a Scale has its own.
func (c *call) columns() []registry.TypeColumn {
	if c.subresource == "scale" {
		return scaleColumns
	}
	return c.typ.Columns
}

// wholeJSON is an object with its kind.
func (c *call) wholeJSON(o registry.Object) ([]byte, error) {
	if c.subresource == "scale" {
		return encoding.JSON(o)
	}
	data, err := versionJSON(c.version, o)
	if err != nil {
		return nil, err
	}
	return c.res.withTypeMeta(c.version, data), nil
}

// partial is an object's metadata alone.
func partial(o registry.Object, f format) *metav1.PartialObjectMetadata {
	p := &metav1.PartialObjectMetadata{ObjectMeta: *metaOf(o)}
	p.Kind, p.APIVersion = "PartialObjectMetadata", metav1.GroupName+"/"+f.asVersion
	return p
}

// metaOf returns the object's metadata: its own for Go types, a copy for custom resources.
func metaOf(o registry.Object) *metav1.ObjectMeta {
	if a, ok := o.(metav1.ObjectMetaAccessor); ok {
		if m, ok := a.GetObjectMeta().(*metav1.ObjectMeta); ok {
			return m
		}
	}
	m := &metav1.ObjectMeta{}
	if u, ok := o.(*unstructured.Unstructured); ok {
		if tree, ok := u.Object["metadata"].(map[string]any); ok {
			// What was stored has passed validation, so it converts.
			_ = runtime.DefaultUnstructuredConverter.FromUnstructured(tree, m)
		}
	}
	return m
}
