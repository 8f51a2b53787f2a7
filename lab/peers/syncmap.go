// syncmap.go: Go's sync.Map beside Neap's concurrent map (concurrent_map.c), and a timer for each key beside the wheel
// (cache_leak.c).
//
// usage: syncmap SPOOL WAY SEED     prints "name value" lines. WAY is shared:N, or timers:N:ROUNDS, or stopped:N:ROUNDS;
// the spool is not read.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const threads, opsOfThread = 2, 400000

func number(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return n
}

func cpu() uint64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return uint64(usage.Utime.Nano() + usage.Stime.Nano())
}

// What the heap holds once everything unreachable is collected.
func heap() uint64 {
	var stats runtime.MemStats
	debug.FreeOSMemory()
	debug.FreeOSMemory()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func work(m *sync.Map, n, random uint64, writesOf100 uint64, done *sync.WaitGroup) {
	for i := 0; i < opsOfThread; i++ {
		random = random*6364136223846793005 + 1442695040888963407
		key := (random >> 33) % n
		if random>>8%100 >= writesOf100 {
			m.Load(key)
		} else if random>>20&1 == 0 {
			m.Store(key, key)
		} else {
			m.Delete(key)
		}
	}
	done.Done()
}

func shared(n uint64) {
	var m sync.Map
	empty := heap()
	for i := uint64(0); i < n; i++ {
		m.Store(i, i)
	}
	for i := uint64(0); i < n; i++ { // until everything is in the part that is read without a lock
		m.Load(i)
	}
	fmt.Println("full", heap()-empty)
	for _, way := range []struct {
		name   string
		writes uint64
	}{{"read_ns", 0}, {"mixed_ns", 10}} {
		var done sync.WaitGroup
		before := cpu()
		for t := uint64(0); t < threads; t++ {
			done.Add(1)
			go work(&m, n, t+1, way.writes, &done)
		}
		done.Wait()
		fmt.Println(way.name, float64(cpu()-before)/(threads*opsOfThread))
	}
	for i := uint64(0); i < n; i++ {
		m.Delete(i)
	}
	left := heap()
	if left < empty {
		left = empty
	}
	fmt.Println("kept", left-empty)
	runtime.KeepAlive(&m)
}

type entry struct {
	value uint64
	timer *time.Timer
}

// The cache that everybody writes first: a map, a lock, and time.AfterFunc for each store.
func timers(n, rounds uint64, stop bool) {
	var lock sync.Mutex
	m := map[uint64]entry{}
	before := heap()
	for round := uint64(0); round < rounds; round++ {
		for i := uint64(0); i < n; i++ {
			key := i
			lock.Lock()
			if old, ok := m[key]; ok && stop {
				old.timer.Stop()
			}
			m[key] = entry{i, time.AfterFunc(time.Hour, func() {
				lock.Lock()
				delete(m, key)
				lock.Unlock()
			})}
			lock.Unlock()
		}
		if round == 0 {
			fmt.Println("first", heap()-before)
		}
	}
	fmt.Println("last", heap()-before)
	fmt.Println("entries", len(m))
	runtime.KeepAlive(m)
}

func main() {
	way := strings.Split(os.Args[2], ":")
	fmt.Println("version", runtime.Version())
	if way[0] == "shared" {
		shared(number(way[1]))
	} else {
		timers(number(way[1]), number(way[2]), way[0] == "stopped")
	}
}
