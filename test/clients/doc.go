// Package clients is where clients that others wrote meet the built binary: client-go, controller-runtime,
// two versions of Helm, the JavaScript client, an old kubectl, curl, and the conformance suite of HTTP/2. Each has a folder or a script; what
// they expect is what they find in any other cluster, so nothing here knows Proa's insides.
//
// `make clients`, which is part of `make test`, fetches and builds what is needed (./fetch) and runs them all.
package clients
