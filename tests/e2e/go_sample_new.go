//go:build go1.24

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unique"
	"unsafe"
	"weak"
)

var (
	watched *Node                    // has a cleanup
	aside   []weak.Pointer[[4]*Node] // 2000 objects that are alive
	held    []*[4]*Node              // and by whom
	gone    []weak.Pointer[[4]*Node] // 2000 that are not
	atoms   []unique.Handle[string]
)

func init() { early, more, probes = startCleanups, makeNew, countProbes }

func startCleanups() { runtime.AddCleanup(&Node{}, func(int) {}, 1) }

// As the runtime has them: a Swiss map, its tables, and of a map type what tells where keys lie.
type swissMap struct {
	used      uint64
	seed      uintptr
	directory unsafe.Pointer
	length    int
	depth     uint8
	shift     uint8
}

type swissTable struct {
	used, capacity, room uint16
	depth                uint8
	index                int
	groups               unsafe.Pointer
	mask                 uint64
}

type swissType struct {
	_              [72]byte
	hash           func(unsafe.Pointer, uintptr) uintptr
	groupSize      uintptr
	keysAt, stride uintptr // the first of them is the slot's size until Go 1.26, and keys come first
	_, _           uintptr
}

// The groups that a lookup of each key looks at, by the runtime's own hash: how many keys have each number.
func countProbes(label string, boxed interface{}) {
	if strings.Contains(runtime.Version(), "noswissmap") {
		return
	}
	words := (*[2]unsafe.Pointer)(unsafe.Pointer(&boxed))
	kind, m := (*swissType)(words[0]), (*swissMap)(words[1])
	keysAt, stride := kind.keysAt, kind.stride
	if runtime.Version() < "go1.27" {
		keysAt, stride = 8, kind.keysAt
	}
	counts := make([]int, 16)
	var last *swissTable
	tables := 0
	for i := 0; i < m.length; i++ {
		table := *(**swissTable)(unsafe.Add(m.directory, i*8))
		if table == last {
			continue
		}
		last = table
		tables++
		for group := uint64(0); group <= table.mask; group++ {
			at := unsafe.Add(table.groups, uintptr(group)*kind.groupSize)
			for slot := uintptr(0); slot < 8; slot++ {
				if *(*uint8)(unsafe.Add(at, slot)) >= 0x80 {
					continue
				}
				hash := uint64(kind.hash(unsafe.Add(at, keysAt+slot*stride), m.seed))
				place, steps := hash>>7&table.mask, uint64(0)
				for place != group {
					steps++
					place = (place + steps) & table.mask
				}
				counts[min(steps, 15)]++
			}
		}
	}
	text, _ := json.Marshal(counts)
	fmt.Printf("{\"label\":\"probes of %s\",\"depth\":%d,\"tables\":%d,\"probes\":%s}\n", label, m.depth, tables, text)
}

// What Go 1.24 added to what a heap is held by: a map that nothing holds but a cleanup's argument, weak pointers to objects
// that live and to objects that do not, and strings that are kept once.
//
//go:noinline
func makeNew() {
	cleaned, captured := map[int]*Node{}, map[int]*Node{}
	for i := 0; i < 120; i++ {
		cleaned[i], captured[i] = &Node{id: i}, &Node{id: i}
	}
	watched = &Node{id: 2}
	runtime.AddCleanup(watched, func(m map[int]*Node) { fmt.Fprintln(os.Stderr, len(m)) }, cleaned)
	runtime.AddCleanup(watched, func(n int) { fmt.Fprintln(os.Stderr, len(captured)+n) }, 1)
	truth("cleaned", "map[int]*main.Node", unsafe.Pointer(&cleaned), len(cleaned), 120)
	truth("captured", "map[int]*main.Node", unsafe.Pointer(&captured), len(captured), 120)
	for i := 0; i < 2000; i++ {
		alive, dead := &[4]*Node{{id: i}}, &[4]*Node{{id: i}}
		held = append(held, alive)
		aside, gone = append(aside, weak.Make(alive)), append(gone, weak.Make(dead))
		atoms = append(atoms, unique.Make("atom"+strconv.Itoa(i%500)))
	}
}
