package openapi

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	v2 "github.com/google/gnostic-models/openapiv2"
	v3 "github.com/google/gnostic-models/openapiv3"
	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/openapi"
	"k8s.io/kube-openapi/pkg/util/proto/validation"
	explain "k8s.io/kubectl/pkg/explain/v2"
	openapiv2 "k8s.io/kubectl/pkg/util/openapi"
	"sigs.k8s.io/yaml"

	models "k8s.io/kube-openapi/pkg/util/proto"
)

// kubectl reads the documents of a set.
type kubectl struct {
	t   *testing.T
	set *Set
}

func (k kubectl) Paths() (map[string]openapi.GroupVersion, error) {
	paths := map[string]openapi.GroupVersion{}
	for path, e := range k.set.v3 {
		paths[path] = document{k.t, e}
	}
	return paths, nil
}

// once keeps what a client would keep too.
type once struct{ doc *v2.Document }

func (o once) OpenAPISchema() (*v2.Document, error) { return o.doc, nil }

func (k kubectl) OpenAPISchema() (*v2.Document, error) {
	d := &v2.Document{}
	return d, proto.Unmarshal(read(k.t, k.set.V2().Protobuf()), d)
}

type document struct {
	t *testing.T
	*Entry
}

func (d document) ServerRelativeURL() string { return d.URL("") }

func (d document) Schema(media string) ([]byte, error) {
	switch media {
	case "application/json":
		return read(d.t, d.JSON()), nil
	case openapi.ContentTypeOpenAPIV3PB:
		return read(d.t, d.Protobuf()), nil
	}
	return nil, fmt.Errorf("no %s", media)
}

// TestExplain: kubectl explain finds fields, their types and their texts.
func TestExplain(t *testing.T) {
	for _, c := range []struct {
		resource schema.GroupVersionResource
		path     string
		want     []string
	}{
		{schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, "spec.strategy",
			[]string{"KIND:       Deployment", "FIELD: strategy <DeploymentStrategy>", "rollingUpdate	<RollingUpdateDeployment>"}},
		{schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, "spec.strategy.rollingUpdate.maxSurge",
			[]string{"FIELD: maxSurge <IntOrString>", "The maximum number of pods that can be scheduled above the desired"}},
		{schema.GroupVersionResource{Version: "v1", Resource: "pods"}, "spec.containers.resources.limits",
			[]string{"FIELD: limits <map[string]Quantity>"}},
		{schema.GroupVersionResource{Version: "v1", Resource: "pods"}, "metadata.creationTimestamp", []string{"FIELD: creationTimestamp <string>", "represented in RFC3339 form"}},
		{schema.GroupVersionResource{Group: "batch", Version: "v2alpha1", Resource: "cronjobs"}, "spec",
			[]string{"VERSION:    v2alpha1", "schedule	<string> -required-", "The schedule in Cron format"}},
		{schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumes"}, "spec.nfs.server", []string{"server is the hostname or IP address"}},
	} {
		var out bytes.Buffer
		fields := strings.Split(c.path, ".")
		if err := explain.PrintModelDescription(fields, &out, kubectl{t, builtinSet()}, c.resource, false, "plaintext"); err != nil {
			t.Errorf("%s %s: %v", c.resource.Resource, c.path, err)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s %s says no %q:\n%s", c.resource.Resource, c.path, want, &out)
			}
		}
	}
}

// TestDryRunAndValidationAreSupported: kubectl apply looks in the documents for what the server can do.
func TestDryRunAndValidationAreSupported(t *testing.T) {
	k := kubectl{t, builtinSet()}
	doc, err := k.OpenAPISchema()
	if err != nil {
		t.Fatal(err)
	}
	for _, param := range []resource.VerifiableQueryParam{"dryRun", resource.QueryParamFieldValidation} {
		for _, r := range builtinResources() {
			if !r.has("patch") {
				continue
			}
			if err := resource.NewQueryParamVerifierV3(nil, k, param).HasSupport(r.GroupVersionKind); err != nil {
				t.Errorf("OpenAPI 3, %s, %s: %v", param, r.GroupVersionKind, err)
			}
			if err := resource.NewQueryParamVerifier(nil, once{doc}, param).HasSupport(r.GroupVersionKind); err != nil {
				t.Errorf("Swagger 2, %s, %s: %v", param, r.GroupVersionKind, err)
			}
		}
	}
}

// TestOldClientsFindModels: what kubectl up to 1.26 explains and validates with.
func TestOldClientsFindModels(t *testing.T) {
	doc, err := kubectl{t, builtinSet()}.OpenAPISchema()
	if err != nil {
		t.Fatal(err)
	}
	found, err := openapiv2.NewOpenAPIData(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range builtinResources() {
		if found.LookupResource(r.GroupVersionKind) == nil {
			t.Errorf("no model of %s", r.GroupVersionKind)
		}
	}
	deployment := found.LookupResource(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"})
	spec := field(t, deployment, "spec")
	if got := field(t, spec, "strategy").GetExtensions()["x-kubernetes-patch-strategy"]; got != "retainKeys" {
		t.Errorf("strategy is patched by %v", got)
	}
	containers := field(t, field(t, field(t, spec, "template"), "spec"), "containers").GetExtensions()
	if containers["x-kubernetes-patch-merge-key"] != "name" || containers["x-kubernetes-patch-strategy"] != "merge" {
		t.Errorf("containers are patched by %v", containers)
	}
	for manifest, faults := range map[string]int{
		`{spec: {replicas: 3, selector: {}, template: {spec: {containers: [{name: c, ports: [{containerPort: 80}]}]}}}}`:        0,
		`{spec: {replicas: many, selector: {}, template: {spec: {containers: [{name: c, port: 80}]}}}}`:                         2,
		`{spec: {strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 10%}}, template: {spec: {containers: [{image: i}]}}}}`: 2,
	} {
		var o any
		if err := yaml.Unmarshal([]byte(manifest), &o); err != nil {
			t.Fatal(err)
		}
		if errs := validation.ValidateModel(o, deployment, "Deployment"); len(errs) != faults {
			t.Errorf("%s: %v", manifest, errs)
		}
	}
}

// field finds one through references.
func field(t *testing.T, s models.Schema, name string) models.Schema {
	t.Helper()
	for {
		switch v := s.(type) {
		case models.Reference:
			s = v.SubSchema()
		case *models.Kind:
			if v.Fields[name] == nil {
				t.Fatalf("no field %s", name)
			}
			return v.Fields[name]
		default:
			t.Fatalf("%T has no field %s", s, name)
		}
	}
}

// TestModelsOfOpenAPI3 are found in the message of OpenAPI 3.
func TestModelsOfOpenAPI3(t *testing.T) {
	doc := &v3.Document{}
	if err := proto.Unmarshal(read(t, builtinSet().V3("apis/apps/v1").Protobuf()), doc); err != nil {
		t.Fatal(err)
	}
	found, err := models.NewOpenAPIV3Data(doc)
	if err != nil {
		t.Fatal(err)
	}
	field(t, found.LookupModel("io.k8s.api.apps.v1.Deployment"), "spec")
	strategy := field(t, found.LookupModel("io.k8s.api.apps.v1.DeploymentStrategy"), "rollingUpdate")
	if got := strategy.GetDescription(); !strings.HasPrefix(got, "Rolling update config params.") {
		t.Errorf("rollingUpdate is described as %q", got)
	}
}
