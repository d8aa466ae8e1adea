package ownership

import (
	"hash/maphash"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// knownFields is how many sets of fields are known again, and largestKnown the longest of them.
	knownFields  = 64
	largestKnown = 16 << 10
)

// known is sets of fields that were encoded lately, each at the place that its text hashes to. Objects that one
// manager made in one way, such as all pods of a Deployment, have the same, and share it: nobody changes a set of
// fields in place, and a copy of an object has its own.
type known struct {
	seed   maphash.Seed
	recent [knownFields]*metav1.FieldsV1
}

func newKnown() *known { return &known{seed: maphash.MakeSeed()} }

// fields is the set with a text, which is copied.
func (k *known) fields(text []byte) *metav1.FieldsV1 {
	if len(text) > largestKnown {
		return metav1.NewFieldsV1(unsafeString(text))
	}
	place := &k.recent[maphash.Bytes(k.seed, text)%knownFields]
	if *place == nil || unsafeString((*place).GetRawBytes()) != unsafeString(text) {
		*place = metav1.NewFieldsV1(unsafeString(text))
	}
	return *place
}
