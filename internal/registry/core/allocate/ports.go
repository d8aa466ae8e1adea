package allocate

import (
	"fmt"
	"math/big"

	corev1 "k8s.io/api/core/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/proa-dev/proa/internal/registry/encoding"
	"github.com/proa-dev/proa/internal/store"
)

// portsKey is the one object that says which node ports are taken, health check ports among them: a bit for
// each port, as kube-apiserver keeps them.
const portsKey = "/registry/ranges/servicenodeports"

// ports is what a server knows of the node ports: what was stored when it last looked, and what its requests
// under way hold. It knows of its own commits; of the others' it learns when it meets them.
type ports struct {
	rang PortRange
	pool *pool // stored or held
	held map[uint64]bool

	object   *corev1.RangeAllocation // as stored at revision
	stored   *big.Int                // a bit for each port of rang
	revision store.Revision          // 0 while there is none
}

func newPorts(r PortRange) *ports {
	p := &ports{rang: r, held: map[uint64]bool{}, object: &corev1.RangeAllocation{}, stored: new(big.Int)}
	p.refill()
	return p
}

func staticPortPart(size uint64) uint64 {
	if size <= 16 {
		return 0
	}
	return min(max(size/32, 16), 128)
}

// refill makes the pool anew.
func (p *ports) refill() {
	first, last := uint64(p.rang.First), uint64(p.rang.Last)
	p.pool = newPool(first, last, first, first+staticPortPart(last-first+1))
	for port := first; port <= last; port++ {
		if p.isStored(port) || p.held[port] {
			p.pool.take(port)
		}
	}
}

func (p *ports) contains(port uint64) bool {
	return uint64(p.rang.First) <= port && port <= uint64(p.rang.Last)
}

func (p *ports) bit(port uint64) int { return int(port) - int(p.rang.First) }

func (p *ports) isStored(port uint64) bool { return p.stored.Bit(p.bit(port)) == 1 }

// learn what the store has.
func (p *ports) learn(kv store.KV) error {
	if kv.Revision < p.revision && kv.Revision != 0 {
		return nil
	}
	object, stored := &corev1.RangeAllocation{}, new(big.Int)
	if kv.Revision != 0 {
		if err := decodeRange(kv.Value, object); err != nil {
			return err
		}
		base, bits, err := rangeBits(object)
		if err != nil {
			return err
		}
		for i := range bits.BitLen() {
			if port := uint64(base + i); bits.Bit(i) == 1 && p.contains(port) {
				stored.SetBit(stored, p.bit(port), 1)
			}
		}
	}
	p.object, p.stored, p.revision = object, stored, kv.Revision
	p.refill()
	return nil
}

func decodeRange(value []byte, into *corev1.RangeAllocation) error {
	var err error
	if encoding.IsProtobuf(value) {
		_, err = encoding.DecodeProtobuf(value, into)
	} else {
		_, err = encoding.DecodeJSON(value, into)
	}
	if err != nil {
		return fmt.Errorf("the allocation of node ports: %w", err)
	}
	return nil
}

// rangeBits are the bits of an allocation, and the port of the first. The range may be another than the
// server's, if that was changed.
func rangeBits(o *corev1.RangeAllocation) (base int, bits *big.Int, err error) {
	r, err := utilnet.ParsePortRange(o.Range)
	if err != nil {
		return 0, nil, fmt.Errorf("the allocation of node ports: %w", err)
	}
	return r.Base, new(big.Int).SetBytes(o.Data), nil
}

// change returns what is stored once ports are taken and given back.
func (p *ports) change(take, give []uint64) *big.Int {
	next := new(big.Int).Set(p.stored)
	for _, port := range give {
		next.SetBit(next, p.bit(port), 0)
	}
	for _, port := range take {
		next.SetBit(next, p.bit(port), 1)
	}
	return next
}

// op stores the bits, if nobody has changed them meanwhile.
func (p *ports) op(bits *big.Int) (store.Op, error) {
	o := p.object.DeepCopy()
	o.ResourceVersion, o.Range, o.Data = "", p.rang.String(), bits.Bytes()
	value, err := encoding.Protobuf(o, corev1.SchemeGroupVersion.WithKind("RangeAllocation"))
	return store.Op{Key: portsKey, Value: value, Expect: p.revision}, err
}

// committed tells that the bits were stored.
func (p *ports) committed(bits *big.Int, revision store.Revision, give []uint64) {
	p.stored, p.revision = bits, revision
	for _, port := range give {
		if !p.held[port] {
			p.pool.release(port)
		}
	}
}

func (p *ports) hold(port uint64) {
	p.held[port] = true
	p.pool.take(port)
}

func (p *ports) letGo(port uint64) {
	delete(p.held, port)
	if !p.isStored(port) {
		p.pool.release(port)
	}
}

func (p *ports) errRange() error {
	return fmt.Errorf("provided port is not in the valid range. The range of valid ports is %s", p.rang)
}
