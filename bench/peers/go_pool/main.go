// main.go: a get and a put of Go's sync.Pool; see bench/pool_speed.c.
//
// usage: pool THREADS HELD     prints ns of CPU time per pair
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
)

const pairs = 400000

type block struct{ bytes [256]byte }

var pool = sync.Pool{New: func() interface{} { return new(block) }}

func work(held int) {
	taken := make([]*block, held)
	for i := 0; i < pairs; i += held {
		for j := range taken {
			taken[j] = pool.Get().(*block)
			taken[j].bytes[0] = 1
		}
		for _, b := range taken {
			pool.Put(b)
		}
	}
}

func cpu() float64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		os.Exit(1)
	}
	return float64(usage.Utime.Nano() + usage.Stime.Nano())
}

func main() {
	threads, err := strconv.Atoi(os.Args[1])
	held, err2 := strconv.Atoi(os.Args[2])
	if err != nil || err2 != nil {
		os.Exit(2)
	}
	best := 0.0
	for round := 0; round < 3; round++ {
		var all sync.WaitGroup
		start := cpu()
		for i := 0; i < threads; i++ {
			all.Add(1)
			go func() {
				defer all.Done()
				work(held)
			}()
		}
		all.Wait()
		took := (cpu() - start) / pairs / float64(threads)
		if best == 0 || took < best {
			best = took
		}
	}
	fmt.Println(best)
}
