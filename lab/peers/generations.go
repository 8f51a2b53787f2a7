// generations.go: maps for one round of work in real Go, made anew or from a sync.Pool; see generations.c.
//
// usage: generations plain|pool RECORDS     prints "name value" lines
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	threads = 128
	rounds  = 10
	batch   = 1000
)

var made, taken int64
var sink int64

var maps = sync.Pool{New: func() interface{} {
	atomic.AddInt64(&made, 1)
	return make(map[uint64]uint64)
}}
var batches = sync.Pool{New: func() interface{} {
	slice := make([]uint64, 0, 16)
	return &slice
}}

func round(pooled bool, records uint64) {
	var m map[uint64]uint64
	if pooled {
		atomic.AddInt64(&taken, 1)
		m = maps.Get().(map[uint64]uint64)
	} else {
		m = make(map[uint64]uint64)
	}
	for key := uint64(0); key < records; key++ {
		m[key] = key
	}
	for from := uint64(0); from < records/2; from += batch {
		var held *[]uint64
		var keys []uint64
		if pooled {
			held = batches.Get().(*[]uint64)
			keys = (*held)[:0]
		}
		for key := from; key < from+batch && key < records/2; key++ {
			keys = append(keys, key)
		}
		for _, key := range keys {
			delete(m, key)
		}
		if pooled {
			*held = keys
			batches.Put(held)
		}
	}
	if uint64(len(m)) != records-records/2 {
		fmt.Fprintln(os.Stderr, "wrong number of records")
		os.Exit(1)
	}
	if pooled {
		for key := range m {
			delete(m, key)
		}
		maps.Put(m)
	}
	atomic.AddInt64(&sink, int64(len(m)))
}

func main() {
	pooled := os.Args[1] == "pool"
	records, err := strconv.ParseUint(os.Args[2], 10, 64)
	if err != nil {
		os.Exit(2)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	var all sync.WaitGroup
	for i := 0; i < threads; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for r := 0; r < rounds; r++ {
				round(pooled, records)
			}
		}()
	}
	all.Wait()
	seconds := time.Since(start).Seconds()
	runtime.ReadMemStats(&after)
	cycles := after.NumGC - before.NumGC
	var pauses []float64
	for i := uint32(0); i < cycles && i < 256; i++ {
		pauses = append(pauses, float64(after.PauseNs[(after.NumGC-1-i)%256]))
	}
	sort.Float64s(pauses)
	average, p99 := 0.0, 0.0
	for _, pause := range pauses {
		average += pause / float64(len(pauses))
	}
	if len(pauses) > 0 {
		p99 = pauses[len(pauses)*99/100]
	}
	reuse := 0.0
	if taken > 0 {
		reuse = 100 * float64(taken-made) / float64(taken)
	}
	operations := float64(threads*rounds) * float64(records+records/2*2)
	fmt.Printf("allocations %g\nstop_average %g\nstop_p99 %g\nseconds %g\ncollections %d\nreuse %g\nversion %s\n",
		float64(after.Mallocs-before.Mallocs)/operations, average, p99, seconds, cycles, reuse, runtime.Version())
}
