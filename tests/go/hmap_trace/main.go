// hmap_trace runs a script of map operations on Go's own map and writes down its state after every step.
//
//	hmap_trace TYPE SCRIPT TRACE
//
// The script is steps of {op, arg, value, full} as little-endian uint32; the trace is records of nine uint64
// (func state.record). tests/go/hmap_go.c writes the one, repeats the steps on Neap's map, and compares.
//
// So that both maps see the same hashes and the same random numbers, the runtime is made to use its portable
// hash with a fixed key, and its random state (m.fastrand) is set before each step and written down after it.
package main

import (
	"encoding/binary"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"unsafe"
)

//go:linkname useAeshash runtime.useAeshash
var useAeshash bool

//go:linkname hashkey runtime.hashkey
var hashkey [4]uintptr

//go:linkname fastrand runtime.fastrand
func fastrand() uint32

//go:linkname mapclear runtime.mapclear
func mapclear(t, h unsafe.Pointer)

//go:linkname mapiterinit runtime.mapiterinit
func mapiterinit(t, h unsafe.Pointer, it *hiter)

//go:linkname mapiternext runtime.mapiternext
func mapiternext(it *hiter)

func getg() unsafe.Pointer

type hiter struct {
	key, elem             unsafe.Pointer
	t, h, buckets, bptr   unsafe.Pointer
	overflow, oldoverflow unsafe.Pointer
	startBucket           uintptr
	offset                uint8
	wrapped               bool
	b, i                  uint8
	bucket, checkBucket   uintptr
}

// findRandom returns the address of this thread's random state: the word of its m that a draw moves on by the
// increment of wyrand.
func findRandom() *uint64 {
	const mOfG, words = 48, 256
	m := *(*unsafe.Pointer)(unsafe.Add(getg(), mOfG))
	state := unsafe.Slice((*uint64)(m), words)
	before := append([]uint64(nil), state...)
	fastrand()
	for i := range state {
		if state[i]-before[i] == 0xa0761d6478bd642f {
			return &state[i]
		}
	}
	panic("hmap_trace: the random state is not where it is in Go 1.19")
}

const (
	opMake = iota
	opPut
	opDelete
	opGet
	opClear
	opIterOpen
	opIterStep
	opIterClose
)

const iterators = 4

// The beginning of the runtime's maptype.
type maptype struct {
	_                 [48]byte
	key, elem, bucket unsafe.Pointer
	hasher            func(unsafe.Pointer, uintptr) uintptr
}

// A state is one map and how to act on it.
type state interface {
	step(op, arg, value uint32) uint64
	record(result uint64, random uint64, arg uint32, full bool) [9]uint64
}

type mapOf[K comparable, V any] struct {
	m     map[K]V
	t     unsafe.Pointer
	r     reader
	key   func(id uint32) K
	value func(v uint32) V
	iter  [iterators]*hiter
}

func (s *mapOf[K, V]) step(op, arg, value uint32) uint64 {
	switch op {
	case opMake:
		s.m = make(map[K]V, arg)
		s.r.h = *(**header)(unsafe.Pointer(&s.m))
		s.iter = [iterators]*hiter{}
	case opPut:
		s.m[s.key(arg)] = s.value(value)
	case opDelete:
		delete(s.m, s.key(arg))
	case opGet:
		v, ok := s.m[s.key(arg)]
		if !ok {
			return 0
		}
		d := fresh
		d.content(unsafe.Pointer(&v), s.r.value)
		return uint64(d)
	case opClear:
		mapclear(s.t, unsafe.Pointer(s.r.h))
	case opIterOpen:
		s.iter[arg] = new(hiter)
		mapiterinit(s.t, unsafe.Pointer(s.r.h), s.iter[arg])
		return s.produced(arg)
	case opIterStep:
		if s.iter[arg] == nil || s.iter[arg].key == nil {
			return 0
		}
		mapiternext(s.iter[arg])
		return s.produced(arg)
	case opIterClose:
		s.iter[arg] = nil
	}
	return 0
}

func (s *mapOf[K, V]) produced(i uint32) uint64 {
	it := s.iter[i]
	if it.key == nil {
		return 0
	}
	d := fresh
	d.content(it.key, s.r.key)
	d.content(it.elem, s.r.value)
	return uint64(d)
}

func (s *mapOf[K, V]) hash(arg uint32) uintptr {
	k := s.key(arg)
	if k != k {
		return 0
	}
	return (*maptype)(s.t).hasher(unsafe.Pointer(&k), uintptr(s.r.h.hash0))
}

func (s *mapOf[K, V]) record(result, random uint64, arg uint32, full bool) (ret [9]uint64) {
	h := s.r.h
	ret[0] = result
	ret[1] = uint64(h.count)
	ret[2] = uint64(h.flags) | uint64(h.b)<<8 | uint64(h.noverflow)<<16 | uint64(h.hash0)<<32
	ret[3] = uint64(h.nevacuate)
	if h.oldbuckets != nil {
		ret[3] |= 1 << 63
	}
	if x := h.extra; x != nil {
		if x.next != nil {
			ret[4] = uint64((uintptr(x.next)-uintptr(h.buckets))/s.r.bucketSize()) + 1
		}
		ret[5] = 1 << 63
		if x.overflow != nil {
			ret[5] |= uint64(len(*x.overflow)) + 1
		}
		if x.oldoverflow != nil {
			ret[5] |= (uint64(len(*x.oldoverflow)) + 1) << 32
		}
	}
	ret[6] = random
	ret[7] = s.r.touched(s.hash(arg))
	if full {
		ret[8] = s.r.all()
	}
	return
}

func newMap[K comparable, V any](key func(uint32) K, value func(uint32) V) state {
	s := &mapOf[K, V]{key: key, value: value}
	var k K
	var v V
	_, text := any(k).(string)
	s.r.key = shape{unsafe.Sizeof(k), text, unsafe.Sizeof(k) > 128}
	s.r.value = shape{unsafe.Sizeof(v), false, unsafe.Sizeof(v) > 128}
	var boxed any = s.m
	s.t = *(*unsafe.Pointer)(unsafe.Pointer(&boxed))
	return s
}

type pair struct {
	a    uint64
	b, c uint32
}

type big [200]byte

// spread is a bijection, so that different ids are different keys.
func spread(id uint32) uint32 { return id * 2654435761 }

func u16(id uint32) uint16    { return uint16(id) }
func u32(id uint32) uint32    { return spread(id) }
func u64(id uint32) uint64    { return uint64(spread(id))<<32 | uint64(id) }
func twelve(id uint32) pair   { return pair{uint64(spread(id)), id, ^id} }
func nothing(uint32) struct{} { return struct{}{} }

// Not real pointers: the collector is off, nobody follows them.
func ptr(id uint32) unsafe.Pointer {
	word := uint64(0x10000) + uint64(id)*16
	return *(*unsafe.Pointer)(unsafe.Pointer(&word))
}

func text(id uint32) string {
	return "key " + strconv.Itoa(int(id)) + strings.Repeat("-", int(id%41))
}

// The first two ids are the two zeroes, every eighth is a NaN.
func f64(id uint32) float64 {
	switch {
	case id == 0:
		return 0
	case id == 1:
		return math.Copysign(0, -1)
	case id%8 == 7:
		return math.NaN()
	}
	return float64(id) * 0.5
}

func f32(id uint32) float32 { return float32(f64(id)) }

func bytes200(id uint32) (ret big) {
	for i := range ret {
		ret[i] = byte(spread(id+uint32(i)) >> 24)
	}
	binary.LittleEndian.PutUint32(ret[100:], id)
	return
}

var types = map[string]func() state{
	"u16-none":   func() state { return newMap(u16, nothing) },
	"u32-u32":    func() state { return newMap(u32, u32) },
	"u32-big":    func() state { return newMap(u32, bytes200) },
	"u64-u64":    func() state { return newMap(u64, u64) },
	"u64-ptr":    func() state { return newMap(u64, ptr) },
	"u64-big":    func() state { return newMap(u64, bytes200) },
	"ptr-u64":    func() state { return newMap(ptr, u64) },
	"str-u64":    func() state { return newMap(text, u64) },
	"str-big":    func() state { return newMap(text, bytes200) },
	"struct-u32": func() state { return newMap(twelve, u32) },
	"f64-u64":    func() state { return newMap(f64, u64) },
	"f32-u32":    func() state { return newMap(f32, u32) },
	"big-u64":    func() state { return newMap(bytes200, u64) },
	"big-big":    func() state { return newMap(bytes200, bytes200) },
}

func must(err error) {
	if err != nil {
		println("hmap_trace:", err.Error())
		os.Exit(1)
	}
}

func main() {
	debug.SetGCPercent(-1)
	runtime.MemProfileRate = 0 /* the sampler draws random numbers */
	runtime.LockOSThread()
	s := types[os.Args[1]]()
	script, err := os.ReadFile(os.Args[2])
	must(err)
	trace := make([]byte, 0, len(script)/16*72)

	useAeshash = false
	hashkey = [4]uintptr{0x9e3779b97f4a7c15}
	random := findRandom()
	for i := 0; i+16 <= len(script); i += 16 {
		op := binary.LittleEndian.Uint32(script[i:])
		arg := binary.LittleEndian.Uint32(script[i+4:])
		value := binary.LittleEndian.Uint32(script[i+8:])
		full := binary.LittleEndian.Uint32(script[i+12:]) != 0
		*random = uint64(i) * 0x9e3779b97f4a7c15
		result := s.step(op, arg, value)
		record := s.record(result, *random, arg, full)
		trace = append(trace, unsafe.Slice((*byte)(unsafe.Pointer(&record)), 72)...)
	}
	must(os.WriteFile(os.Args[3], trace, 0o644))
}
