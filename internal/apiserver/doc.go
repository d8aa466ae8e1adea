// Package apiserver is the API: HTTP in, HTTP out. A request becomes a call (request.go, call.go), passes
// the filters (filters.go), finds its resource in the routes (routes.go) and is carried out by one verb,
// each in the file of its name. What verbs share are the steps of the pipeline: decode, convert, default,
// own, admit, validate, commit (pipeline.go), and the answer's encoding (negotiate.go, answer.go).
//
// In-process components call the same verbs without HTTP and without encoding (local.go).
package apiserver
