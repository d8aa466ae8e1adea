package cache

import (
	"reflect"
	"sync"
	"unsafe"
	"weak"
)

// weakly holds an object of any pointer type without keeping it alive. weak.Pointer wants the type at
// compile time, so the pointer is kept as one to the object's first byte, beside its type: a pointer
// into an object keeps all of it alive once it is strong again.
type weakly struct {
	mu      sync.Mutex         // held while the object is made
	first   weak.Pointer[byte] // guarded by mu
	pointee reflect.Type       // guarded by mu; nil when nothing was set
}

// get returns the object, or nil if it is gone.
func (w *weakly) get() any {
	if w.pointee == nil {
		return nil
	}
	first := w.first.Value()
	if first == nil {
		return nil
	}
	return reflect.NewAt(w.pointee, unsafe.Pointer(first)).Interface()
}

// alive tells whether somebody holds the object, or is making one.
func (w *weakly) alive() bool {
	if !w.mu.TryLock() {
		return true
	}
	defer w.mu.Unlock()
	return w.first.Value() != nil
}

// set remembers the object if it is a pointer, and nothing otherwise.
func (w *weakly) set(object any) {
	v := reflect.ValueOf(object)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		w.pointee = nil
		return
	}
	w.first = weak.Make((*byte)(v.UnsafePointer()))
	w.pointee = v.Type().Elem()
}
