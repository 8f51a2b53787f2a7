// delete.go: a million deletes in real Go; see delete_million.c. The work of each way is that of the C side:
// the keys lie ready in memory, loading and deleting are timed apart.
//
// usage: delete SPOOL WAY     prints "name value" lines
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"
)

type facts struct {
	size, changed uint64
	mode, user    uint32
	block         *byte
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func readKeys(spool string) []string {
	file, err := os.Open(spool)
	check(err)
	defer file.Close()
	reader := bufio.NewReaderSize(file, 1<<17)
	var keys []string
	var head [32]byte
	for {
		if _, err := io.ReadFull(reader, head[:]); err == io.EOF {
			return keys
		} else {
			check(err)
		}
		key := make([]byte, binary.LittleEndian.Uint32(head[:4]))
		_, err := io.ReadFull(reader, key)
		check(err)
		keys = append(keys, string(key))
	}
}

func rss() uint64 {
	text, err := os.ReadFile("/proc/self/smaps_rollup")
	check(err)
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "Rss:") {
			kb, err := strconv.ParseUint(strings.Fields(line)[1], 10, 64)
			check(err)
			return kb * 1024
		}
	}
	return 0
}

// Deletes with two goroutines that take turns at one lock.
func deleteShared(m map[string]facts, keys []string) {
	var lock sync.Mutex
	var both sync.WaitGroup
	for half := 0; half < 2; half++ {
		both.Add(1)
		go func(keys []string) {
			defer both.Done()
			for _, key := range keys {
				lock.Lock()
				delete(m, key)
				lock.Unlock()
			}
		}(keys[half*len(keys)/2 : (half+1)*len(keys)/2])
	}
	both.Wait()
}

var maps = sync.Pool{New: func() interface{} { return make(map[string]facts) }}

func main() {
	keys, way := readKeys(os.Args[1]), os.Args[2]
	runtime.GC()
	debug.FreeOSMemory()
	before := rss()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	cycles := stats.NumGC

	room := 0
	if way == "reserved" {
		room = len(keys)
	}
	m := make(map[string]facts, room)
	if way == "pooled" { // a first life, from a pool and back
		maps.Put(m)
		m = maps.Get().(map[string]facts)
		for _, key := range keys {
			m[key] = facts{size: uint64(len(key))}
		}
		for key := range m {
			delete(m, key)
		}
		maps.Put(m)
		m = maps.Get().(map[string]facts)
	}
	start := time.Now()
	for _, key := range keys {
		m[key] = facts{size: uint64(len(key))}
	}
	fmt.Printf("load_ns %d\n", time.Since(start).Nanoseconds())
	fmt.Printf("peak %d\n", rss()-before)
	start = time.Now()
	if way == "shared" {
		deleteShared(m, keys)
	} else {
		for _, key := range keys {
			delete(m, key)
		}
	}
	fmt.Printf("delete_ns %d\n", time.Since(start).Nanoseconds())
	runtime.ReadMemStats(&stats)
	fmt.Printf("collections %d\n", stats.NumGC-cycles)
	left := len(m)
	if way == "pooled" { // the pool lets go of it in two collections
		maps.Put(m)
		m = nil
		runtime.GC()
		runtime.GC()
	}
	debug.FreeOSMemory()
	after := rss()
	if after < before {
		after = before
	}
	fmt.Printf("kept %d\nleft %d\nversion %s\n", after-before, left, runtime.Version())
	runtime.KeepAlive(m)
	runtime.KeepAlive(keys)
}
