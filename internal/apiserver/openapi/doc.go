// Package openapi makes the documents by which clients learn what the API looks like: one of OpenAPI 3 for
// each group and version, and one of Swagger 2 for all together, in JSON and in protobuf.
//
// A document is made in three steps, when somebody first asks for it:
//
//  1. Resources (resource.go), which the caller describes, become paths with operations (paths.go,
//     subresources.go, parameters.go).
//  2. The kinds that the operations speak of become schemas, together with all that those refer to
//     (schemas.go): names, types and rules of sharing from package shape, texts from SwaggerDoc.
//  3. The result, a Document (document.go) that belongs to neither version of OpenAPI, is written in the
//     version and form that was asked for (json*.go, proto*.go) and kept compressed (set.go). The Document
//     itself is garbage then: a server that nobody asks pays nothing, one that was asked a few kilobytes.
//
// The hash of a document tells clients whether what they keep is still good. It is one of what the document
// is made from, not of its bytes, so that the index of all documents costs none of them.
package openapi
