package main

// Reading a map from outside: its header, its chains, every slot whether in use or not. hmap_go.c computes the
// same numbers from Neap's map.

import "unsafe"

type header struct {
	count      int
	flags, b   uint8
	noverflow  uint16
	hash0      uint32
	buckets    unsafe.Pointer
	oldbuckets unsafe.Pointer
	nevacuate  uintptr
	extra      *struct {
		overflow, oldoverflow *[]unsafe.Pointer
		next                  unsafe.Pointer
	}
}

// shape is what a slot holds.
type shape struct {
	size     uintptr // of the key or value
	text     bool    // a string
	indirect bool    // a pointer to a block
}

func (s shape) slot() uintptr {
	if s.indirect {
		return 8
	}
	return s.size
}

type reader struct {
	h          *header
	key, value shape
	pointers   bool
}

func (r *reader) bucketSize() uintptr {
	return 8 + 8*r.key.slot() + 8*r.value.slot() + 8
}

//go:linkname roundupsize runtime.roundupsize
func roundupsize(size uintptr) uintptr

// arrayBuckets is the length of an array for 1<<b buckets, those made in advance included.
func (r *reader) arrayBuckets(b uint8) uintptr {
	n := uintptr(1) << b
	if b < 4 {
		return n
	}
	return roundupsize((n+n/16)*r.bucketSize()) / r.bucketSize()
}

// FNV-1a, 64 bits.
type digest uint64

const fresh digest = 0xcbf29ce484222325

func (d *digest) byte(b byte) {
	*d = (*d ^ digest(b)) * 0x100000001b3
}

func (d *digest) bytes(at unsafe.Pointer, n uintptr) {
	for _, b := range unsafe.Slice((*byte)(at), n) {
		d.byte(b)
	}
}

func (d *digest) word(w uint64) {
	d.bytes(unsafe.Pointer(&w), 8)
}

func (d *digest) slot(at unsafe.Pointer, s shape, tophash byte) {
	if !s.indirect {
		d.content(at, s)
		return
	}
	p := *(*unsafe.Pointer)(at)
	if p == nil {
		d.byte(0)
		return
	}
	d.byte(1)
	if tophash >= 5 { // under an evacuated mark it may be gone; only Go has a collector that keeps it
		d.content(p, s)
	}
}

func (d *digest) content(at unsafe.Pointer, s shape) {
	if !s.text {
		d.bytes(at, s.size)
		return
	}
	str := (*struct {
		p unsafe.Pointer
		n uint64
	})(at)
	d.word(str.n)
	if str.p == nil {
		d.byte(0)
		return
	}
	d.byte(1)
	d.bytes(str.p, uintptr(str.n))
}

// chain adds a bucket and what is linked behind it.
func (d *digest) chain(r *reader, array unsafe.Pointer, b uint8, index uintptr) {
	size := r.bucketSize()
	n := r.arrayBuckets(b)
	for at := unsafe.Add(array, index*size); at != nil; at = *(*unsafe.Pointer)(unsafe.Add(at, size-8)) {
		place := (uintptr(at) - uintptr(array)) / size
		if uintptr(at) < uintptr(array) || place >= n {
			place = 1 << 40 // allocated by itself
		}
		d.word(uint64(place))
		d.bytes(at, 8)
		for i := uintptr(0); i < 8; i++ {
			tophash := *(*byte)(unsafe.Add(at, i))
			d.slot(unsafe.Add(at, 8+i*r.key.slot()), r.key, tophash)
			d.slot(unsafe.Add(at, 8+8*r.key.slot()+i*r.value.slot()), r.value, tophash)
		}
	}
}

func (r *reader) oldB() uint8 {
	if r.h.flags&8 != 0 {
		return r.h.b
	}
	return r.h.b - 1
}

// touched covers every chain that a write with this hash can have changed.
func (r *reader) touched(hash uintptr) uint64 {
	h := r.h
	d := fresh
	if h.buckets == nil {
		return uint64(d)
	}
	d.chain(r, h.buckets, h.b, hash&(1<<h.b-1))
	if h.oldbuckets == nil {
		return uint64(d)
	}
	old := uintptr(1) << r.oldB()
	for _, index := range []uintptr{hash & (old - 1), h.nevacuate, h.nevacuate + old - 1} {
		index &= old - 1
		d.chain(r, h.oldbuckets, r.oldB(), index)
		d.chain(r, h.buckets, h.b, index)
		d.chain(r, h.buckets, h.b, (index+old)&(1<<h.b-1))
	}
	return uint64(d)
}

// all covers everything.
func (r *reader) all() uint64 {
	h := r.h
	d := fresh
	if h.buckets == nil {
		return uint64(d)
	}
	for i := uintptr(0); i < 1<<h.b; i++ {
		d.chain(r, h.buckets, h.b, i)
	}
	if h.oldbuckets != nil {
		for i := uintptr(0); i < 1<<r.oldB(); i++ {
			d.chain(r, h.oldbuckets, r.oldB(), i)
		}
	}
	return uint64(d)
}
