// A Go program with a heap of a given shape, to measure the inspector on. It prints what it made and "ready", and
// waits until its standard input ends.
//
//	heap maps MEGABYTES     maps of strings to records, of which most entries were deleted; slices and trees beside
//	heap objects COUNT      COUNT small objects in trees, the most that a heap of that size can hold
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
)

type record struct {
	body  []byte
	next  *record
	stamp int64
}

type node struct {
	left, right *node
	value       int64
}

type shard struct {
	name    string
	entries map[string]*record
	counts  map[uint64]uint64
	labels  []map[string]string
}

var (
	shards []*shard
	trees  []*node
)

// 8,000 live records in a map that once held three times as many, another such map, and 200 small ones.
func newShard(number int) *shard {
	s := &shard{name: "shard " + strconv.Itoa(number), entries: map[string]*record{}, counts: map[uint64]uint64{}}
	var last *record
	for i := 0; i < 24000; i++ {
		last = &record{body: make([]byte, 160), next: last, stamp: int64(i)}
		if i%16 == 0 {
			last.next = nil
		}
		s.entries[s.name+":"+strconv.Itoa(i)] = last
		s.counts[uint64(i)<<20|uint64(number)] = uint64(i)
	}
	for i := 0; i < 200; i++ {
		s.labels = append(s.labels, map[string]string{"shard": s.name, "label": strconv.Itoa(i)})
	}
	for i := 0; i < 24000; i++ {
		if i%3 != 0 {
			delete(s.entries, s.name+":"+strconv.Itoa(i))
			delete(s.counts, uint64(i)<<20|uint64(number))
		}
	}
	return s
}

func newTree(depth int) *node {
	if depth == 0 {
		return nil
	}
	return &node{newTree(depth - 1), newTree(depth - 1), int64(depth)}
}

func main() {
	amount, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	var stats runtime.MemStats
	switch os.Args[1] {
	case "maps":
		for number := 0; ; number++ {
			shards = append(shards, newShard(number))
			runtime.ReadMemStats(&stats)
			if int(stats.HeapInuse>>20) >= amount && number%16 == 15 {
				runtime.GC()
				runtime.ReadMemStats(&stats)
				if int(stats.HeapInuse>>20) >= amount {
					break
				}
			}
		}
	case "objects":
		const depth = 20
		debug.SetGCPercent(20)
		for made := 0; made < amount; made += 1<<depth - 1 {
			trees = append(trees, newTree(depth))
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&stats)
	fmt.Printf("%d objects, %d MB in use, %d maps\n", stats.HeapObjects, stats.HeapInuse>>20, 202*len(shards))
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
	}
	runtime.KeepAlive(shards)
}
