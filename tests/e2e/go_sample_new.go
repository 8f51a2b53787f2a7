//go:build go1.24

package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
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

func init() { more = makeNew }

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
