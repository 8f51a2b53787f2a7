// Command peer_syncmap measures Go's sync.Map as cmap_speed measures the others, and prints the same two numbers:
// million operations a second; or MB resident when full, and after everything was deleted and collected.
//
//	peer_syncmap speed N THREADS PERCENT OPS
//	peer_syncmap memory N
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"
)

func mix(i uint64) uint64 {
	i = (i ^ i>>30) * 0xbf58476d1ce4e5b9
	i = (i ^ i>>27) * 0x94d049bb133111eb
	return i ^ i>>31
}

func number(i int) uint64 {
	n, err := strconv.ParseUint(os.Args[i], 10, 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return n
}

func fill(m *sync.Map, n uint64) {
	for i := uint64(0); i < n; i++ {
		m.Store(i, i)
	}
	for i := uint64(0); i < n; i++ { // promotes what was stored to the part that is read without a lock
		m.Load(i)
	}
}

func resident() float64 {
	data, _ := os.ReadFile("/proc/self/smaps_rollup")
	for _, line := range strings.Split(string(data), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "Anonymous:" {
			kb, _ := strconv.ParseFloat(fields[1], 64)
			return kb / 1000 * 1.024
		}
	}
	return 0
}

func main() {
	var m sync.Map
	n := number(2)
	if os.Args[1] == "memory" {
		before := resident()
		fill(&m, n)
		debug.FreeOSMemory()
		full := resident() - before
		for i := uint64(0); i < n; i++ {
			m.Delete(i)
		}
		debug.FreeOSMemory()
		debug.FreeOSMemory()
		fmt.Printf("%.2f %.2f\n", full, resident()-before)
		runtime.KeepAlive(&m)
		return
	}
	threads, percent, ops := number(3), number(4), number(5)
	fill(&m, n)
	var start, done sync.WaitGroup
	start.Add(1)
	for t := uint64(0); t < threads; t++ {
		done.Add(1)
		go func(random uint64) {
			writes := percent * (^uint64(0) / 100)
			start.Wait()
			for i := uint64(0); i < ops/threads; i++ {
				random = random*6364136223846793005 + 1442695040888963407
				key := random >> 32 * n >> 32
				if random<<32 >= writes {
					if v, ok := m.Load(key); ok && v.(uint64) != key {
						panic("wrong value")
					}
				} else if random>>20&1 == 0 {
					m.Store(key, key)
				} else {
					m.Delete(key)
				}
			}
			done.Done()
		}(mix(t + 1))
	}
	began := time.Now()
	start.Done()
	done.Wait()
	fmt.Printf("%.3f 0\n", float64(ops)/1e6/time.Since(began).Seconds())
}
