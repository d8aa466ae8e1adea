package encoding

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// metaManagedFields is the field of ObjectMeta that is often as large as all others together.
const metaManagedFields = 17

// Metadata reads the metadata of a stored protobuf value, without managedFields, and decodes nothing else.
func Metadata(data []byte) (*metav1.PartialObjectMetadata, error) {
	env, err := openEnvelope(data)
	if err != nil {
		return nil, err
	}
	p := &metav1.PartialObjectMetadata{}
	for rest := env.raw; len(rest) > 0; {
		number, meta, n := consumeBytes(rest)
		if n < 0 {
			return nil, errEnvelope
		}
		if number == objectMetaField {
			return p, readMetadata(&p.ObjectMeta, meta)
		}
		rest = rest[n:]
	}
	return p, nil
}

func readMetadata(m *metav1.ObjectMeta, data []byte) error {
	few := make([]byte, 0, len(data))
	for len(data) > 0 {
		number, _, n := consumeBytes(data)
		if n < 0 {
			return errEnvelope
		}
		if number != metaManagedFields {
			few = append(few, data[:n]...)
		}
		data = data[n:]
	}
	return m.Unmarshal(few)
}
