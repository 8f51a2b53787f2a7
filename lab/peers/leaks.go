// leaks.go: the known ways to leak through a map, as a Go program meets them; see leaks.c.
//
// Each way is run twice, leaking and cured, with the same work and the same entries at the end. Prints what the heap holds
// afterwards, once everything unreachable was collected.
//
// usage: leaks WAY N     prints "name value" lines
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const rounds, keptOf, bodySize, largeSize, ownSize = 10, 100, 1024, 16 << 10, 250

type body [bodySize]byte

// What the heap holds once everything unreachable is collected.
func heap() uint64 {
	var stats runtime.MemStats
	debug.FreeOSMemory()
	debug.FreeOSMemory()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

type key struct{ tenant, id uint64 }

// Equal keys at different addresses are different keys.
func pointerKeys(n int, cured bool) interface{} {
	byPointer, byValue := map[*key]uint64{}, map[key]uint64{}
	for i := 0; i < rounds*n; i++ {
		request := &key{1, uint64(i % n)}
		if cured {
			byValue[*request] = uint64(i)
		} else {
			byPointer[request] = uint64(i)
		}
	}
	return []interface{}{byPointer, byValue}
}

type session struct{ items map[int]*body }

// An owner in two maps lives until it has left both.
func nestedOwners(n int, cured bool) interface{} {
	byUser, byToken := map[int]*session{}, map[string]*session{}
	for i := 0; i < n; i++ {
		owner := &session{map[int]*body{0: new(body)}}
		byUser[i], byToken[strconv.Itoa(i)] = owner, owner
	}
	for i := 0; i < n; i++ {
		if i%keptOf == 0 {
			continue
		}
		delete(byUser, i)
		if cured {
			delete(byToken, strconv.Itoa(i))
		}
	}
	return []interface{}{byUser, byToken}
}

// Twice the entries a bucket at which a classic map grows: 6.5, but 6 in Go 1.21, whose constant was rounded.
func growsAt() int {
	if strings.HasPrefix(runtime.Version(), "go1.21") {
		return 12
	}
	return 13
}

// A loop that overlaps the growth of its map makes the runtime keep the old array as it was, deleted values included.
// Each write moves at most two buckets, so few of them leave the growth unfinished: large values make it count.
func unfinishedEvacuation(n int, cured bool) interface{} {
	buckets := 1
	for buckets*growsAt()/2 < n {
		buckets *= 2
	}
	count, large := buckets*growsAt()/2, buckets/8 // the next insert starts the growth
	m := map[int]*[largeSize]byte{}
	for i := 0; i < count; i++ {
		m[i] = nil
		if i < large {
			m[i] = new([largeSize]byte)
		}
	}
	for range m {
		for i := 0; i < buckets/4; i++ { // moves half of the buckets
			m[count+i] = nil
		}
		for i := 0; i < large; i++ { // and at most a quarter
			delete(m, i)
		}
		break
	}
	for i := 0; cured && i < buckets; i++ { // writes that change nothing, but move the rest
		m[count] = nil
	}
	return m
}

type stamped struct {
	value uint64
	timer *time.Timer
}

// A timer that nobody stops holds what its function mentions until it fires.
func timers(n int, cured bool) interface{} {
	var lock sync.Mutex
	m := map[int]stamped{}
	for i := 0; i < rounds*n; i++ {
		key := i % n
		lock.Lock()
		if old, there := m[key]; there && cured {
			old.timer.Stop()
		}
		m[key] = stamped{uint64(i), time.AfterFunc(time.Hour, func() {
			lock.Lock()
			delete(m, key)
			lock.Unlock()
		})}
		lock.Unlock()
	}
	return m
}

type owner struct {
	children map[int]*child
}

type child struct {
	up *owner
	body
}

type handle struct{ *owner }

// A finalizer on an object that leads back to itself never runs, and keeps all of the cycle.
func cycles(n int, cured bool) interface{} {
	var done int64
	for i := 0; i < n; i++ {
		root := &owner{map[int]*child{}}
		root.children[0] = &child{up: root}
		if cured {
			runtime.SetFinalizer(&handle{root}, func(*handle) { atomic.AddInt64(&done, 1) })
		} else {
			runtime.SetFinalizer(root, func(*owner) { atomic.AddInt64(&done, 1) })
		}
	}
	for i := 0; cured && atomic.LoadInt64(&done) < int64(n) && i < 3000; i++ {
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

// A goroutine that waits for ever keeps what its stack holds.
func leftovers(n int, cured bool) interface{} {
	var filled, ended sync.WaitGroup
	stop := make(chan bool)
	for worker := 0; worker < n/ownSize; worker++ {
		filled.Add(1)
		ended.Add(1)
		go func() {
			defer ended.Done()
			own := map[int]*body{}
			for i := 0; i < ownSize; i++ {
				own[i] = new(body)
			}
			filled.Done()
			<-stop
			runtime.KeepAlive(own)
		}()
	}
	filled.Wait()
	if cured {
		close(stop)
		ended.Wait()
	}
	return stop
}

var ways = map[string]func(n int, cured bool) interface{}{
	"pointer-keys": pointerKeys, "nested-owners": nestedOwners, "unfinished-evacuation": unfinishedEvacuation,
	"timer-per-key": timers, "ownership-cycles": cycles, "thread-local-leftovers": leftovers,
}

func main() {
	n, err := strconv.Atoi(os.Args[2])
	way := ways[os.Args[1]]
	if err != nil || way == nil {
		fmt.Fprintln(os.Stderr, "usage: leaks WAY N")
		os.Exit(2)
	}
	minor, _ := strconv.Atoi(strings.FieldsFunc(strings.TrimPrefix(runtime.Version(), "go1."), func(r rune) bool {
		return r < '0' || r > '9'
	})[0])
	fmt.Println("version", runtime.Version())
	fmt.Println("minor", minor)
	for _, cured := range []bool{true, false} {
		before := heap()
		kept := way(n, cured)
		after := heap()
		if after < before {
			after = before
		}
		if cured {
			fmt.Println("cured", after-before)
		} else {
			fmt.Println("leaking", after-before)
		}
		runtime.KeepAlive(kept)
	}
}
