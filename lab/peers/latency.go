// latency.go: high-frequency delete in real Go; see gc_latency.c. The work is that of the C side, operation for operation.
//
// usage: latency ENTRIES OPERATIONS     prints "name value" lines
package main

import (
	"fmt"
	"math/bits"
	"os"
	"runtime"
	"sort"
	"strconv"
	"time"
)

type session struct {
	previous *session
	bytes    *[96]byte
	number   [6]uint64
}

// A bijection, so that keys are spread and every key is another one.
func spread(number uint64) uint64 {
	number = (number ^ number>>31) * 0x9e3779b97f4a7c15
	return number ^ number>>29
}

func makeSession(number uint64) *session {
	s := &session{bytes: new([96]byte)}
	s.number[0] = number
	return s
}

// Buckets of a sixteenth of a power of two.
var histogram [64 * 16]uint64

func bucketOf(ns uint64) int {
	if ns < 16 {
		return int(ns)
	}
	top := bits.Len64(ns) - 1
	return top*16 + int(ns>>(top-4)&15)
}

func quantile(q float64, operations uint64) uint64 {
	left := uint64(q * float64(operations))
	for bucket, count := range histogram {
		if left < count {
			if bucket < 16 {
				return uint64(bucket)
			}
			return uint64(16+bucket%16) << (bucket/16 - 4)
		}
		left -= count
	}
	return 0
}

func number(at int) uint64 {
	value, err := strconv.ParseUint(os.Args[at], 10, 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func main() {
	entries, operations := number(1), number(2)
	m := make(map[uint64]*session)
	for i := uint64(0); i < entries; i++ {
		m[spread(i)] = makeSession(i)
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	var worst uint64
	for i := uint64(0); i < operations; i++ {
		start := time.Now()
		delete(m, spread(i))
		m[spread(i+entries)] = makeSession(i + entries)
		took := uint64(time.Since(start).Nanoseconds())
		histogram[bucketOf(took)]++
		if took > worst {
			worst = took
		}
	}
	wall := time.Since(begin)
	runtime.ReadMemStats(&after)
	lost, left := 0, len(m)
	for i := operations; i < operations+entries; i++ {
		if s := m[spread(i)]; s == nil || s.number[0] != i {
			lost++
		}
	}
	cycles := int(after.NumGC - before.NumGC)
	var pauses []uint64
	for i := 0; i < cycles && i < 256; i++ {
		pauses = append(pauses, after.PauseNs[(int(after.NumGC)-1-i)%256])
	}
	sort.Slice(pauses, func(i, j int) bool { return pauses[i] < pauses[j] })
	if cycles > 0 {
		fmt.Printf("stop_p50 %d\nstop_p99 %d\nstop_max %d\n", pauses[len(pauses)/2], pauses[len(pauses)*99/100],
			pauses[len(pauses)-1])
	}
	var last runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&last)
	runtime.KeepAlive(m)
	fmt.Printf("operations %d\nleft %d\nobjects %d\nmallocs %d\n", operations, left, last.HeapObjects,
		after.Mallocs-before.Mallocs)
	fmt.Printf("cycles %d\nwall_ns %d\nlost %d\n", cycles, wall.Nanoseconds(), lost)
	fmt.Printf("op_p50 %d\nop_p999 %d\nop_max %d\n", quantile(0.5, operations), quantile(0.999, operations), worst)
	fmt.Printf("version %s\n", runtime.Version())
}
