// Package twin compares Proa with the real kube-apiserver, request by request.
//
// A script (testdata/*.txt) is sent to a server, and the answers are written down after what must differ
// from run to run (uids, times, revisions) has got a name instead. The answers of kube-apiserver 1.36.3 over
// etcd are kept in testdata/golden; the test sends the same scripts to Proa and compares. `go test -record`
// refreshes the golden files from a live kube-apiserver, built by test/peer.
//
// A script is a list of requests. Lines that begin with # are comments. A request is
//
//	> POST /api/v1/namespaces/$ns/configmaps?dryRun=All
//	| Accept: application/yaml
//	metadata: {name: a}
//	data: {k: v}
//
// that is, the method and the path, headers, and the body. A body is written in YAML and sent as JSON; with a
// Content-Type header it is sent as it stands, but for application/vnd.kubernetes.protobuf, where it is
// encoded. Some methods are short for a PATCH with its content type: JSONPATCH, MERGE, STRATEGIC, APPLY.
//
//	> WATCH w /api/v1/namespaces/$ns/configmaps?watch=1
//	> EVENTS w
//
// opens a watch beside the requests that follow, and writes down what it has sent until it is quiet.
//
// Lines that begin with @ come between requests:
//
//	@as alice               who asks from here on: a user of users.go; nobody sends no credentials
//	@save u metadata.uid    ${u} is this field of the last answer
//	@save t header.ETag     ${t} is this header of it
//	@wait 300ms             waits, and then until the caches have what was written
//	@differs why            the next answer of Proa is another one, and that is accepted. The test fails
//	                        when it is not, so that no excuse outlives its reason.
//	@without field,... why  these fields of the next answer are not compared; of a text that is body, all of it
//	@subset                 Proa may have less: items of lists that it lacks are not compared
//
// Lines that are the same for many kinds are written once, between @each and @end. Before them stand rows of
// values, which take the place of the names. A row may leave out its last ones:
//
//	@each path name
//	= /api/v1/nodes | n1
//	= /api/v1/namespaces | $ns
//	> GET ${path}/${name}
//	@end
//
// The reasons are what docs/COMPATIBILITY.md lists; `go test -document` puts them there.
//
// Variables are $ns (a namespace of the script's own, with a default service account), ${name} as saved,
// ${.path} for a field of the last answer, and ${x:N} for N times the letter x.
package twin
