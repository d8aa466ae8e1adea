package garbage

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/proa-dev/proa/internal/client"
	"github.com/proa-dev/proa/internal/client/clienttest"
	"github.com/proa-dev/proa/internal/controller/controllertest"
)

// An object is written as "namespace/name < owner, owner!", where ! blocks the owner's deletion and an object
// without a namespace is a ClusterRole. UIDs are "uid of namespace/name".
func parse(line string) client.Object {
	id, owners, _ := strings.Cut(line, "<")
	namespace, name, _ := strings.Cut(strings.TrimSpace(id), "/")
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name, UID: uidOf(namespace + "/" + name)}
	for o := range strings.SplitSeq(owners, ",") {
		if o = strings.TrimSpace(o); o != "" {
			meta.OwnerReferences = append(meta.OwnerReferences, refTo(o))
		}
	}
	if namespace == "" {
		return &rbacv1.ClusterRole{ObjectMeta: meta}
	}
	return &corev1.ConfigMap{ObjectMeta: meta}
}

func uidOf(id string) types.UID { return types.UID("uid of " + id) }

func refTo(o string) metav1.OwnerReference {
	id, blocks := strings.CutSuffix(o, "!")
	namespace, name, _ := strings.Cut(id, "/")
	ref := metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: name, UID: uidOf(id), BlockOwnerDeletion: &blocks}
	if namespace == "" {
		ref.APIVersion, ref.Kind = "rbac.authorization.k8s.io/v1", "ClusterRole"
	}
	if namespace == "unknown" {
		ref.APIVersion, ref.Kind = "example.org/v1", "Thing"
	}
	return ref
}

func format(o client.Object) string {
	s := o.GetNamespace() + "/" + o.GetName()
	if o.GetDeletionTimestamp() != nil {
		s += " (deleting)"
	}
	sep := " < "
	for _, ref := range o.GetOwnerReferences() {
		s += sep + strings.TrimPrefix(string(ref.UID), "uid of ")
		if *ref.BlockOwnerDeletion {
			s += "!"
		}
		sep = ", "
	}
	return s
}

var all = []string{"create", "delete", "get", "list", "watch", "update", "patch"}

var resources = []metav1.APIResourceList{
	{GroupVersion: "v1", APIResources: []metav1.APIResource{
		{Name: "configmaps", Kind: "ConfigMap", Namespaced: true, Verbs: all},
		{Name: "configmaps/status", Kind: "ConfigMap", Namespaced: true, Verbs: all},
		{Name: "events", Kind: "Event", Namespaced: true, Verbs: all},
		{Name: "bindings", Kind: "Binding", Namespaced: true, Verbs: []string{"create"}},
	}},
	{GroupVersion: "rbac.authorization.k8s.io/v1", APIResources: []metav1.APIResource{
		{Name: "clusterroles", Kind: "ClusterRole", Verbs: all},
	}},
	{GroupVersion: "rbac.authorization.k8s.io/v1beta1", APIResources: []metav1.APIResource{
		{Name: "clusterroles", Kind: "ClusterRole", Verbs: all},
	}},
	{GroupVersion: "apiextensions.k8s.io/v1", APIResources: []metav1.APIResource{
		{Name: "customresourcedefinitions", Kind: "CustomResourceDefinition", Verbs: all},
	}},
}

func bench(t *testing.T, lines ...string) *controllertest.Bench {
	b := controllertest.New(t, nil)
	b.Server.Resources = resources
	for _, l := range lines {
		b.Server.Put(parse(l))
	}
	go Start(b.Deps).Run(t.Context())
	b.Settle()
	return b
}

func remove(b *controllertest.Bench, id string, p metav1.DeletionPropagation) {
	namespace, name, _ := strings.Cut(id, "/")
	o := metav1.DeleteOptions{PropagationPolicy: &p}
	if namespace == "" {
		_ = client.ClusterRoles.Delete(context.Background(), b.Server, "", name, o)
	} else {
		_ = client.ConfigMaps.Delete(context.Background(), b.Server, namespace, name, o)
	}
}

func present(b *controllertest.Bench) (all []string) {
	for _, o := range clienttest.List(b.Server, client.ConfigMaps) {
		all = append(all, format(o))
	}
	for _, o := range clienttest.List(b.Server, client.ClusterRoles) {
		all = append(all, format(o))
	}
	slices.Sort(all)
	return all
}

func TestCollect(t *testing.T) {
	const background, foreground, orphan = metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan
	for name, c := range map[string]struct {
		objects []string
		delete  string
		how     metav1.DeletionPropagation
		want    []string
	}{
		"nothing to do":            {objects: []string{"ns/a", "ns/b < ns/a", "/r", "ns/c < /r"}, want: []string{"/r", "ns/a", "ns/b < ns/a", "ns/c < /r"}},
		"absent from the start":    {objects: []string{"ns/a < ns/nobody", "ns/b < ns/a"}},
		"one of two is absent":     {objects: []string{"ns/a", "ns/b < ns/nobody, ns/a"}, want: []string{"ns/a", "ns/b < ns/a"}},
		"owner of another place":   {objects: []string{"other/a", "ns/b < other/a"}, want: []string{"other/a"}},
		"cluster by namespaced":    {objects: []string{"ns/a", "/r < ns/a", "/s < ns/nobody"}, want: []string{"/r < ns/a", "/s < ns/nobody", "ns/a"}},
		"owner of an unknown kind": {objects: []string{"ns/a < unknown/t"}, want: []string{"ns/a < unknown/t"}},
		"background, a chain":      {objects: []string{"ns/a", "ns/b < ns/a", "ns/c < ns/b"}, delete: "ns/a", how: background},
		"background, a circle":     {objects: []string{"ns/a < ns/c", "ns/b < ns/a", "ns/c < ns/b"}, delete: "ns/a", how: background},
		"foreground, a chain":      {objects: []string{"ns/a", "ns/b < ns/a!", "ns/c < ns/b!"}, delete: "ns/a", how: foreground},
		"foreground, another owner": {objects: []string{"ns/a", "/r", "ns/b < ns/a!, /r", "ns/c < ns/b!"}, delete: "ns/a", how: foreground,
			want: []string{"/r", "ns/b < /r", "ns/c < ns/b!"}},
		"foreground, a circle":       {objects: []string{"ns/a < ns/c!", "ns/b < ns/a!", "ns/c < ns/b!"}, delete: "ns/a", how: foreground},
		"foreground, owns itself":    {objects: []string{"ns/a < ns/a!"}, delete: "ns/a", how: foreground},
		"foreground, nobody is hurt": {objects: []string{"ns/a", "ns/b < ns/a"}, delete: "ns/a", how: foreground},
		"orphan": {objects: []string{"ns/a", "/r", "ns/b < ns/a!", "ns/c < ns/b", "ns/d < /r, ns/a"}, delete: "ns/a", how: orphan,
			want: []string{"/r", "ns/b", "ns/c < ns/b", "ns/d < /r"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bench(t, c.objects...)
				if c.delete != "" {
					remove(b, c.delete, c.how)
				}
				b.Settle()
				if got := present(b); !slices.Equal(got, c.want) {
					t.Errorf("left\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
				}
			})
		})
	}
}

// The order matters to users: whoever deletes in the foreground relies on the children being gone.
func TestForegroundOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bench(t, "ns/a", "ns/b < ns/a!", "ns/c < ns/b!", "ns/loose < ns/a")
		held := clienttest.Get(b.Server, client.ConfigMaps, "ns", "c").DeepCopy()
		held.Finalizers = []string{"example.org/hold"}
		b.Server.Put(held)
		remove(b, "ns/a", metav1.DeletePropagationForeground)
		b.Settle()
		want := []string{"ns/a (deleting)", "ns/b (deleting) < ns/a!", "ns/c (deleting) < ns/b!"}
		if got := present(b); !slices.Equal(got, want) {
			t.Fatalf("while c holds on: %q, want %q", got, want)
		}
		held = clienttest.Get(b.Server, client.ConfigMaps, "ns", "c").DeepCopy()
		held.Finalizers = nil
		if _, err := client.ConfigMaps.Update(t.Context(), b.Server, held); err != nil {
			t.Fatal(err)
		}
		b.Settle()
		if got := present(b); len(got) > 0 {
			t.Errorf("left: %q", got)
		}
	})
}

func TestStrayReference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bench(t, "other/a", "ns/x", "ns/b < other/a, ns/x")
		want := `b Warning OwnerRefInvalidNamespace: ownerRef [v1/ConfigMap, namespace: ns, name: a, uid: uid of other/a] does not exist in namespace "ns"`
		if got := b.Events.Take(); len(got) != 1 || got[0] != want {
			t.Errorf("events %q", got)
		}
		if got := present(b); !slices.Equal(got, []string{"ns/b < ns/x", "ns/x", "other/a"}) {
			t.Errorf("left %q", got)
		}
	})
}

// An owner that was made anew is another.
func TestOwnerMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bench(t)
		anew := parse("ns/a")
		anew.SetUID("another")
		b.Server.Put(anew)
		b.Server.Put(parse("ns/b < ns/a"))
		b.Settle()
		if got := present(b); !slices.Equal(got, []string{"ns/a"}) {
			t.Errorf("left %q", got)
		}
	})
}

// A kind that is not known yet protects what it owns, until it is known.
func TestNewResource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bench(t, "ns/a < unknown/t")
		b.Server.Resources = append(slices.Clone(resources), metav1.APIResourceList{
			GroupVersion: "example.org/v1", APIResources: []metav1.APIResource{{Name: "things", Kind: "Thing", Namespaced: true, Verbs: all}},
		})
		crd := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "things.example.org"}}
		crd.APIVersion, crd.Kind = "apiextensions.k8s.io/v1", "CustomResourceDefinition"
		b.Server.Put(crd)
		b.Settle()
		if got := present(b); len(got) != 1 {
			t.Fatalf("deleted although nobody could know: %q", got)
		}
		b.Pass(time.Minute)
		if got := present(b); len(got) != 0 {
			t.Errorf("left %q", got)
		}
	})
}

// Nothing happens by the mere passage of time.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bench(t, "ns/a", "ns/b < ns/a", "ns/c < unknown/t")
		b.Server.Actions()
		var calls atomic.Int32
		b.Server.React(func(*client.Request) (bool, *client.Response, error) { calls.Add(1); return false, nil, nil })
		b.Pass(24 * time.Hour)
		if n := calls.Load(); n > 0 {
			t.Errorf("%d calls in an idle day", n)
		}
	})
}
