// release.go: what each way of emptying a map gives back in real Go. One way per process; see release_ways.c.
//
// usage: release SPOOL WAY SEED     prints "name value" lines
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
	"time"
	"unsafe"
)

// The value in every map: struct table_value of lab/table.c.
type facts struct {
	size, changed uint64
	mode, user    uint32
	block         *byte
}

const keptOneIn = 100

// The choice of key_is_kept in lab/keys.c.
func kept(key []byte, seed uint64) bool {
	hash := seed ^ 0xcbf29ce484222325
	for _, b := range key {
		hash = (hash ^ uint64(b)) * 0x100000001b3
	}
	hash ^= hash >> 32
	hash *= 0xd6e8feb86659fd93
	return (hash>>32)%keptOneIn == 0
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Calls use for each key of the spool that lab/keys.c wrote.
func eachKey(spool string, use func(key []byte)) {
	file, err := os.Open(spool)
	check(err)
	defer file.Close()
	reader := bufio.NewReaderSize(file, 1<<17)
	var head [32]byte
	key := make([]byte, 0, 4096)
	for {
		if _, err := io.ReadFull(reader, head[:]); err == io.EOF {
			return
		} else {
			check(err)
		}
		n := binary.LittleEndian.Uint32(head[:4])
		if uint32(cap(key)) < n {
			key = make([]byte, n)
		}
		key = key[:n]
		_, err := io.ReadFull(reader, key)
		check(err)
		use(key)
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

// The slots of the bucket array: B is the tenth byte of the header in the classic map, up to Go 1.23.
func slots(m map[string]facts) uint64 {
	if m == nil {
		return 0
	}
	header := *(*unsafe.Pointer)(unsafe.Pointer(&m))
	return 8 << *(*uint8)(unsafe.Add(header, 9))
}

func classic() bool {
	version := strings.TrimPrefix(runtime.Version(), "go1.")
	minor, err := strconv.Atoi(strings.SplitN(version, ".", 2)[0])
	return err == nil && minor <= 23
}

func report(phase string, m map[string]facts) {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Printf("%s_inuse %d\n%s_rss %d\n", phase, stats.HeapInuse, phase, rss())
	if classic() {
		fmt.Printf("%s_slots %d\n", phase, slots(m))
	}
}

func main() {
	spool, way := os.Args[1], os.Args[2]
	seed, err := strconv.ParseUint(os.Args[3], 10, 64)
	check(err)
	m := map[string]facts{}
	eachKey(spool, func(key []byte) { m[string(key)] = facts{size: uint64(len(key))} })
	runtime.GC()
	report("loaded", m)
	start := time.Now()
	switch way {
	case "delete":
		eachKey(spool, func(key []byte) { delete(m, string(key)) })
	case "clear": // the compiler knows this loop and clears the map at once
		for key := range m {
			delete(m, key)
		}
	case "drop":
		m = nil
	case "most", "rebuild":
		eachKey(spool, func(key []byte) {
			if !kept(key, seed) {
				delete(m, string(key))
			}
		})
		if way == "rebuild" {
			rest := make(map[string]facts, len(m))
			for key, value := range m {
				rest[key] = value
			}
			m = rest
		}
	}
	fmt.Printf("ns %d\n", time.Since(start).Nanoseconds())
	runtime.GC()
	report("collected", m)
	debug.FreeOSMemory()
	report("returned", m)
	fmt.Printf("left %d\nversion %s\n", len(m), runtime.Version())
	runtime.KeepAlive(m)
}
