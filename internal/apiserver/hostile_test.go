package apiserver

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Requests that mean harm: each has an answer that is the client's fault, and the server goes on.

func TestHostileBodies(t *testing.T) {
	w := newWorld(t)
	put(w, "a", "1")
	var zipped bytes.Buffer
	zw := gzip.NewWriter(&zipped)
	fmt.Fprint(zw, `{"metadata":{"name":"z"}}`)
	zw.Close()
	deep := func(open, close string) string { return strings.Repeat(open, 100_000) + strings.Repeat(close, 100_000) }
	const jsonType, yamlType, protoType = "Content-Type: application/json", "Content-Type: application/yaml", "Content-Type: application/vnd.kubernetes.protobuf"
	envelope := func(s string) string { return "k8s\x00" + s }
	for name, c := range map[string]struct {
		method, path, body, header string
		codes                      []int
	}{
		"nothing":                        {"POST", configMaps, "", jsonType, []int{400}},
		"not JSON":                       {"POST", configMaps, "{", jsonType, []int{400}},
		"a list":                         {"POST", configMaps, "[]", jsonType, []int{400}},
		"null":                           {"POST", configMaps, "null", jsonType, []int{400, 422}},
		"a string":                       {"POST", configMaps, `"x"`, jsonType, []int{400}},
		"two objects":                    {"POST", configMaps, `{}{}`, jsonType, []int{400}},
		"invalid UTF-8":                  {"POST", configMaps, "{\"metadata\":{\"name\":\"\xff\xfe\"}}", jsonType, []int{400, 422}},
		"invalid UTF-8 in data":          {"POST", configMaps, "{\"metadata\":{\"name\":\"u\"},\"data\":{\"k\":\"\xff\xfe\"}}", jsonType, []int{201, 400, 422}},
		"a NUL in a name":                {"POST", configMaps, `{"metadata":{"name":"a\u0000b"}}`, jsonType, []int{422}},
		"a slash in a name":              {"POST", configMaps, `{"metadata":{"name":"a/b"}}`, jsonType, []int{422}},
		"a huge number":                  {"POST", configMaps, `{"metadata":{"name":"h","generation":1e400}}`, jsonType, []int{400}},
		"a huge integer":                 {"POST", configMaps, `{"metadata":{"name":"h","generation":99999999999999999999999}}`, jsonType, []int{400}},
		"a name of megabytes":            {"POST", configMaps, `{"metadata":{"name":"` + strings.Repeat("a", 1<<20) + `"}}`, jsonType, []int{422}},
		"deep lists":                     {"POST", configMaps, deep("[", "]"), jsonType, []int{400}},
		"deep objects":                   {"POST", configMaps, deep(`{"a":`, "}"), jsonType, []int{400}},
		"deep in a field":                {"POST", configMaps, `{"metadata":{"name":"d"},"data":` + deep(`{"a":`, "}") + `}`, jsonType, []int{400}},
		"deep YAML":                      {"POST", configMaps, deep("[", "]"), yamlType, []int{400}},
		"deep YAML objects":              {"POST", configMaps, deep("{a: ", "}"), yamlType, []int{400}},
		"a YAML bomb":                    {"POST", configMaps, yamlBomb(), yamlType, []int{400}},
		"YAML tabs":                      {"POST", configMaps, "a:\n\t- b", yamlType, []int{400}},
		"deep merge patch":               {"PATCH", configMaps + "/a", deep(`{"a":`, "}"), "Content-Type: application/merge-patch+json", []int{400, 422}},
		"deep JSON patch":                {"PATCH", configMaps + "/a", `[{"op":"add","path":"/data","value":` + deep("[", "]") + `}]`, "Content-Type: application/json-patch+json", []int{400, 422}},
		"deep strategic patch":           {"PATCH", configMaps + "/a", deep(`{"a":`, "}"), "Content-Type: application/strategic-merge-patch+json", []int{400, 422}},
		"deep apply":                     {"PATCH", configMaps + "/a?fieldManager=x", deep(`{"a": `, "}"), "Content-Type: application/apply-patch+yaml", []int{400, 422}},
		"deep apply of lists":            {"PATCH", configMaps + "/a?fieldManager=x", `{"apiVersion":"v1","kind":"ConfigMap","data":` + deep("[", "]") + "}", "Content-Type: application/apply-patch+yaml", []int{400, 422, 500}},
		"many patch operations":          {"PATCH", configMaps + "/a", "[" + strings.Repeat(`{"op":"test","path":"/kind","value":"ConfigMap"},`, 20_000) + `{"op":"remove","path":"/data"}]`, "Content-Type: application/json-patch+json", []int{413}},
		"copying patch":                  {"PATCH", configMaps + "/a", copyBomb(), "Content-Type: application/json-patch+json", []int{400, 413, 422}},
		"no such patch":                  {"PATCH", configMaps + "/a", "{}", "Content-Type: application/x-patch", []int{415}},
		"gzip":                           {"POST", configMaps, zipped.String(), jsonType + "\nContent-Encoding: gzip", []int{400, 415}},
		"form":                           {"POST", configMaps, "a=b", "Content-Type: application/x-www-form-urlencoded", []int{415}},
		"bad media type":                 {"POST", configMaps, "{}", "Content-Type: ;;;/", []int{415}},
		"3 MiB and one":                  {"POST", configMaps, `{"a":"` + strings.Repeat("x", 3<<20) + `"}`, jsonType, []int{413}},
		"empty envelope":                 {"POST", configMaps, envelope(""), protoType, []int{400}},
		"no envelope":                    {"POST", configMaps, "hello", protoType, []int{400}},
		"envelope of noise":              {"POST", configMaps, envelope(strings.Repeat("\xff", 100)), protoType, []int{400}},
		"envelope cut short":             {"POST", configMaps, envelope("\x0a\x0f\x0a\x02v1\x12\x09Conf"), protoType, []int{400}},
		"envelope of a message of noise": {"POST", configMaps, envelope("\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x04\xff\xff\xff\xff"), protoType, []int{400}},
		"envelope of a huge length":      {"POST", configMaps, envelope("\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\xff\xff\xff\xff\x7f"), protoType, []int{400}},
		"envelope of nothing":            {"POST", configMaps, envelope("\x0a\x0f\x0a\x02v1\x12\x09ConfigMap"), protoType, []int{400, 422}},
		"envelope of another kind":       {"POST", configMaps, envelope("\x0a\x0c\x0a\x02v1\x12\x06Secret\x12\x00"), protoType, []int{400}},
		"delete with noise":              {"DELETE", configMaps + "/a", "\x00\x01", jsonType, []int{400}},
		"delete with a list":             {"DELETE", configMaps + "/a", "[1]", jsonType, []int{400}},
		"delete with protobuf noise":     {"DELETE", configMaps + "/a", envelope("\xff\xff"), protoType, []int{400}},
		"delete with a large body":       {"DELETE", configMaps + "/a", strings.Repeat(" ", 3<<20+1), jsonType, []int{413}},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.do(c.method, c.path, c.body, strings.Split(c.header, "\n")...)
			if !slices.Contains(c.codes, r.code) {
				t.Errorf("%d %.300s", r.code, r.body)
			}
		})
	}
	w.must("GET", configMaps+"/a", "")
	if text := string(w.must("GET", "/metrics", "").body); !strings.Contains(text, "apiserver_request_panics_total 0\n") {
		t.Error("something panicked")
	}
}

// yamlBomb is nine levels of nine references each.
func yamlBomb() string {
	text := "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
	for i := range 9 {
		ref := fmt.Sprintf("*a%d", i)
		text += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.Join([]string{ref, ref, ref, ref, ref, ref, ref, ref, ref}, ","))
	}
	return text
}

// copyBomb doubles a value again and again.
func copyBomb() string {
	ops := []string{`{"op":"add","path":"/x","value":{"v":"` + strings.Repeat("x", 1000) + `"}}`}
	for i := range 40 {
		ops = append(ops, fmt.Sprintf(`{"op":"copy","from":"/x","path":"/x/c%d"}`, i))
	}
	return "[" + strings.Join(ops, ",") + "]"
}

func TestHostilePaths(t *testing.T) {
	w := newWorld(t)
	put(w, "a", "hush-hush")
	for path, codes := range map[string][]int{
		"/api/v1/namespaces/n/configmaps/a/../../m":       {404},
		"/api/v1/namespaces/n/configmaps/..%2f..%2fn%2fa": {400, 404},
		"/api/v1/namespaces/n/configmaps/%2e%2e":          {400},
		"/api/v1/namespaces/n/configmaps/%2e":             {400},
		"/api/v1/namespaces/n/configmaps/a%00":            {400, 404},
		"/api/v1/namespaces/n/configmaps/%25":             {400},
		"/api/v1/namespaces/n%2fconfigmaps/a":             {200, 404},
		"/api/v1/namespaces/..%2fn/configmaps":            {404},
		"/api/v1/namespaces/../configmaps":                {200, 400, 404},
		"/api/v1//namespaces/n/configmaps/a":              {404},
		"/api//v1/namespaces/n/configmaps/a":              {404},
		"/api/v1/namespaces/n//configmaps/a":              {404},
		"/api/v1/namespaces/n/configmaps//a":              {404},
		"/api/v1/namespaces/n/configmaps/a/":              {200},
		"/api/v1/namespaces/n/configmaps/a//":             {200, 404},
		"/api/v1/":                                        {200},
		"/api/":                                           {200},
		"/apis/":                                          {200},
		"/apis//":                                         {200, 404},
		"/apis/apps/":                                     {200},
		"/apis/apps/v1/":                                  {200},
		"/api/v1/watch":                                   {404},
		"/api/v1/watch/":                                  {404},
		"/api/v1/watch/namespaces":                        {0},
		"/api/v1/namespaces/n/":                           {404},
		"/api/v1/namespaces":                              {200},
		"/api/v1/namespaces/n/status/x/y":                 {404},
		"/api/v1/" + strings.Repeat("a/", 10_000):         {404},
		"/" + strings.Repeat("/", 10_000):                 {200, 404},
		"/metrics/x":                                      {404},
		"/healthz/nothing":                                {404},
	} {
		u, err := url.Parse("http://x" + path)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.URL, r.RequestURI = u, path
		if codes[0] == 0 {
			ctx, cancel := context.WithCancel(r.Context())
			cancel()
			r, codes = r.WithContext(ctx), []int{200}
		}
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		if !slices.Contains(codes, rec.Code) {
			t.Errorf("GET %.80s: %d %.200s, want %v", path, rec.Code, rec.Body, codes)
		}
		if strings.Contains(rec.Body.String(), "hush-hush") && path != "/api/v1/namespaces/n/configmaps/a/" && !strings.HasPrefix(path, "/api/v1/namespaces/n%2f") && !strings.HasSuffix(path, "a//") {
			t.Errorf("GET %.80s shows what it must not", path)
		}
	}
}

func TestHostileHeaders(t *testing.T) {
	w := newWorld(t)
	put(w, "a", "1")
	many := strings.Repeat("application/json;q=0.1;a=b,", 5000)
	for header, codes := range map[string][]int{
		"Accept: " + many:                                       {200},
		"Accept: " + strings.Repeat(";", 5000):                  {200, 406},
		"Accept: ,,,":                                           {200, 406},
		"Accept: */*;q=NaN":                                     {200, 406},
		"Accept: application/json;q=-1":                         {200, 406},
		"Accept: application/json;as=Table;g=meta.k8s.io;v=v9":  {406},
		"Accept: application/vnd.kubernetes.protobuf;stream=no": {406},
		"Impersonate-Group: x":                                  {400, 403},
		"Impersonate-Extra-: x":                                 {400, 403},
		"Audit-ID: " + strings.Repeat("x", 10_000):              {200},
		"User-Agent: " + strings.Repeat("\x7f", 1000):           {200},
	} {
		if r := w.do("GET", configMaps+"/a", "", header); !slices.Contains(codes, r.code) {
			t.Errorf("%.60s: %d %.200s", header, r.code, r.body)
		}
	}
	r := w.must("PATCH", configMaps+"/a", `{"data":{"x":"y"}}`, "Content-Type: application/merge-patch+json", "User-Agent: "+strings.Repeat("é\x01", 500))
	if m, _ := r.at(t, ".metadata.managedFields[1].manager").(string); m == "" || len(m) > 128 {
		t.Errorf("the manager is %q", m)
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, path := range []string{
		"/", "", "/api", "/api/v1", "/api/v1/pods", "/apis/apps/v1/namespaces/n/deployments/d/status", "/api/v1/watch/namespaces/n/pods",
		"/api/v1/namespaces/n/services/s:80/proxy/a//b", "/apis/a/b/watch", "/api/v1/namespaces//pods", "/api/v1/namespaces/n/finalize",
	} {
		f.Add("GET", path, "watch=1")
		f.Add("DELETE", path, "")
		f.Add("BREW", path, "")
	}
	verbs := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
	f.Fuzz(func(t *testing.T, method, path, query string) {
		i := parseRequest(&http.Request{Method: method, URL: &url.URL{Path: path, RawQuery: query}})
		// Resources have no verb for other methods, which no rule but one for all verbs allows.
		if i.verb == "" && method != "" && !i.isResource || i.isResource && (i.verb != "") != slices.Contains(verbs, method) {
			t.Errorf("%q is %q", method, i.verb)
		}
		if i.isResource && !i.hole && i.resource == "" {
			t.Errorf("%q is a resource without a name", path)
		}
		if i.isResource && !strings.HasPrefix(strings.TrimLeft(path, "/"), "api") {
			t.Errorf("%q is a resource", path)
		}
	})
}

func FuzzAccept(f *testing.F) {
	for _, s := range []string{"", "*/*", "application/json", "application/*;q=0.5, text/html", "a/b;as=Table;v=v1;g=meta.k8s.io,c", ";;=,=;q=", "application/json;as=Table;g=meta.k8s.io;v=v1beta1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		last := 1e308
		for _, c := range parseAccept(header) {
			if c.q > last {
				t.Errorf("%q: weight %v after %v", header, c.q, last)
			}
			last = c.q
		}
		r := &http.Request{URL: &url.URL{}, Header: http.Header{"Accept": {header}}}
		got, err := negotiate(r, offer{media: allMedia, as: objectTransforms})
		if err == nil && !strings.Contains(strings.Join(allMedia, " "), got.media) {
			t.Errorf("%q: %q was not offered", header, got.media)
		}
		acceptsGzip(&http.Request{Header: http.Header{"Accept-Encoding": {header}}})
		aggregatedMedia(r)
	})
}

func FuzzContinue(f *testing.F) {
	f.Add(continueToken{APIVersion: continueVersion, ResourceVersion: 3, StartKey: "n/a\x00"}.encode())
	f.Add(continueToken{APIVersion: continueVersion, ResourceVersion: -1, StartKey: "../x"}.encode())
	f.Add("e30")
	f.Add("!")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := parseContinue(text)
		if err != nil {
			if s := statusOf(err); s.Code != http.StatusBadRequest {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if again, err := parseContinue(token.encode()); err != nil || again != token {
			t.Errorf("%q: %v became %v, %v", text, token, again, err)
		}
	})
}

// fuzzed is one server for all runs of a fuzz target.
func fuzzed(f *testing.F) *world {
	w := newWorld(f)
	put(w, "a", "1", `"x":"y"`)
	w.must("POST", podPath, podJSON("p"))
	return w
}

// wantFault sees that an answer is a success, or a Status that says that the client is at fault.
func wantFault(t *testing.T, r *reply) {
	if r.code/100 == 2 {
		return
	}
	if kind := r.at(t, ".kind"); r.code/100 != 4 || kind != "Status" {
		t.Errorf("%d %s", r.code, r.body)
	}
}

func FuzzListOptions(f *testing.F) {
	w := fuzzed(f)
	for _, q := range []string{
		"labelSelector=x%3Dy", "fieldSelector=metadata.name%3Da,metadata.name!%3Db", "limit=-1", "limit=9223372036854775807", "resourceVersion=0&resourceVersionMatch=Exact",
		"resourceVersion=1&resourceVersionMatch=NotOlderThan", "sendInitialEvents=true&resourceVersionMatch=NotOlderThan", "continue=e30", "timeoutSeconds=1",
		"labelSelector=x+in+(y,z),!w", "fieldSelector=spec.nodeName%3Dx", "pretty=true", "labelSelector=%00", "fieldSelector=a%5C%2Cb%3Dc", "timeout=1s", "timeout=-1s",
	} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil || values.Get("watch") != "" || values.Get("timeout") != "" || len(values.Get("resourceVersion")) > 1 {
			return
		}
		for _, path := range []string{configMaps, podPath} {
			r := httptest.NewRequest("GET", path, nil)
			r.URL.RawQuery = query
			rec := httptest.NewRecorder()
			w.handler.ServeHTTP(rec, r)
			if rec.Code == http.StatusGone {
				return
			}
			wantFault(t, &reply{code: rec.Code, body: rec.Body.Bytes()})
		}
	})
}

func FuzzCreate(f *testing.F) {
	w := fuzzed(f)
	for _, body := range []string{`{"metadata":{"name":"b"},"data":{"k":"v"}}`, "metadata:\n  generateName: b-\n", "k8s\x00\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x00", podJSON("q"), `{"kind":"Pod","apiVersion":"v1"}`, "[]", "&a [*a]"} {
		for _, media := range allMedia {
			f.Add(media, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, media string, body []byte) {
		if media != mediaJSON && media != mediaYAML && media != mediaProtobuf {
			return
		}
		for _, path := range []string{configMaps, podPath} {
			r := w.do("POST", path+"?dryRun=All&fieldValidation=Strict", string(body), "Content-Type: "+media)
			if strings.Contains(string(r.body), "resourceVersion should not be set") {
				continue // kube-apiserver's own 500
			}
			wantFault(t, r)
		}
	})
}

func FuzzPatch(f *testing.F) {
	w := fuzzed(f)
	for _, body := range []string{
		`{"data":{"k":null}}`, `[{"op":"remove","path":"/data"}]`, `{"apiVersion":"v1","kind":"ConfigMap","data":{"z":"1"}}`, `{"metadata":null}`, `{"metadata":{"managedFields":[{}]}}`,
		`{"$patch":"delete"}`, `{"spec":{"containers":[{"name":"web","$patch":"delete"}]}}`, `{"spec":{"$setElementOrder/containers":[{"name":"x"}]}}`, `[{"op":"move","from":"","path":"/a"}]`, `[]`, `null`,
		`{"metadata":{"managedFields":[{"manager":"x","operation":"Apply","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{"k:{":{}}}}]}}`,
	} {
		for _, media := range patchTypes {
			f.Add(media, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, media string, body []byte) {
		if !slices.Contains(patchTypes, media) {
			return
		}
		for _, path := range []string{configMaps + "/a", podPath + "/p", podPath + "/p/status"} {
			r := w.do("PATCH", path+"?dryRun=All&fieldManager=f", string(body), "Content-Type: "+media)
			if r.code == http.StatusInternalServerError && r.at(t, ".reason") == nil {
				continue // the patch libraries' word on what does not fit the schema: kube-apiserver's, too
			}
			wantFault(t, r)
		}
	})
}

func FuzzDeleteOptions(f *testing.F) {
	w := fuzzed(f)
	for _, body := range []string{
		`{"propagationPolicy":"Orphan"}`, `{"gracePeriodSeconds":-1}`, `{"preconditions":{"uid":"x"}}`, `{"kind":"DeleteOptions","apiVersion":"apps/v1"}`, `{"dryRun":["All","All"]}`,
		`{"orphanDependents":true,"propagationPolicy":"Foreground"}`, "gracePeriodSeconds: 1", `{"gracePeriodSeconds":9223372036854775807}`, "k8s\x00\x0a\x13\x0a\x02v1\x12\x0dDeleteOptions\x12\x02\x08\x01",
	} {
		for _, media := range allMedia {
			f.Add(media, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, media string, body []byte) {
		if media != mediaJSON && media != mediaYAML && media != mediaProtobuf {
			return
		}
		name := "d"
		w.do("POST", configMaps, `{"metadata":{"name":"d"}}`)
		w.do("POST", podPath, podJSON(name))
		wantFault(t, w.do("DELETE", configMaps+"/"+name, string(body), "Content-Type: "+media))
		wantFault(t, w.do("DELETE", podPath+"/"+name, string(body), "Content-Type: "+media))
	})
}
