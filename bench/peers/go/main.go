// Command peer_go measures Go's own map the way map_speed, map_worst and map_memory measure the others, and
// prints the same lines. It is started by those programs as
//
//	peer_go QUESTION SHAPE N OPS SEED CELLS
//
// and inherits the core that they run on, so the collector, Go's answer to memory management, works on the same
// core and its time counts: all figures are the CPU time of the whole process. Keys have the same distribution
// as in bench/workload.c, from the same mix. Strings share one backing array, as Go programs that read a file do.
package main

import (
	"fmt"
	"math/bits"
	"os"
	"runtime"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const (
	absent   = uint64(1) << 40 // keys that no map holds begin here
	lookups  = 1 << 16         // look-ups per repetition
	slowNS   = 10000           // an operation above this is looked at closer, as in map_worst.c
	prefixes = "/usr/share/locale/session:user/account/0000/img-cache/2024/index.html?ref="
	digits   = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
)

type big [7]uint64

func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}

func makeText(number, seed uint64) string {
	hash := mix(number ^ mix(seed))
	size := int(8 + hash%33)
	at := int((hash >> 32) % uint64(len(prefixes)+1-40))
	const mask = uint64(1)<<48 - 1
	x := (number + seed) & mask
	x = (x * 0x9e3779b97f4b) & mask
	x ^= x >> 25
	x = (x * 0xbf58476d1ce5) & mask
	text := make([]byte, 0, size)
	text = append(text, prefixes[at:at+size-8]...)
	for i := 0; i < 8; i++ {
		text = append(text, digits[x>>(6*i)&63])
	}
	return string(text)
}

// clock reads one of the system's clocks, in nanoseconds.
func clock(id uintptr) int64 {
	var now syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, id, uintptr(unsafe.Pointer(&now)), 0)
	return now.Nano()
}

const (
	monotonic  = 1
	processCPU = 2
)

// watch is stopwatch.h: the smaller of the wall time inside and the CPU time outside.
type watch struct {
	cpu   int64
	inner time.Time
}

func start() watch {
	w := watch{cpu: clock(processCPU)}
	w.inner = time.Now()
	return w
}

func (w watch) stop() float64 {
	inside := int64(time.Since(w.inner))
	if cpu := clock(processCPU) - w.cpu; cpu < inside {
		return float64(cpu)
	}
	return float64(inside)
}

type laps []float64

func (l laps) report(cell string) {
	sort.Float64s(l)
	fmt.Printf("%s %.4f\n", cell, l[len(l)/2])
}

// work holds the keys of one run.
type work[K comparable] struct {
	n, ops, total         int
	load, gone, hit, miss []K
	cells                 string
}

func (w *work[K]) wants(cell string) bool {
	return w.cells == "" || strings.Contains(","+w.cells+",", ","+cell+",")
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func newWork[K comparable](n, ops int, key func(uint64) K, cells string) *work[K] {
	w := &work[K]{n: n, ops: ops, total: n + ops, cells: cells}
	if w.total > 2*n {
		w.total -= w.total % n
	}
	stride := n*618/1000 | 1
	for n > 1 && gcd(stride, n) != 1 {
		stride++
	}
	for i := 0; i < w.total; i++ {
		w.load = append(w.load, key(uint64(i)))
	}
	for i := 0; i < w.total; i++ {
		number := i
		if block := i / n; (block+1)*n <= w.total {
			number = block*n + i%n*stride%n
		}
		w.gone = append(w.gone, key(uint64(number)))
	}
	for i := 0; i < ops; i++ {
		hi, _ := bits.Mul64(mix(uint64(i)+absent), uint64(n))
		w.hit = append(w.hit, key(hi))
		w.miss = append(w.miss, key(absent+uint64(i)))
	}
	return w
}

func fill[K comparable, V any](m map[K]V, keys []K, value func(K) V) {
	for _, key := range keys {
		m[key] = value(key)
	}
}

func insert[K comparable, V any](w *work[K], cell string, reserve int, value func(K) V) {
	var l laps
	for at := 0; at+w.n <= w.total && at < w.ops; at += w.n {
		t := start()
		m := make(map[K]V, reserve)
		fill(m, w.load[at:at+w.n], value)
		l = append(l, t.stop()/float64(w.n))
		runtime.KeepAlive(m)
	}
	l.report(cell)
}

func lookUp[K comparable, V any](w *work[K], m map[K]V, cell string, keys []K, word func(*V) uint64) uint64 {
	var l laps
	sum := uint64(0)
	for at := 0; at < w.ops; at += lookups {
		end := at + lookups
		if end > w.ops {
			end = w.ops
		}
		t := start()
		for _, key := range keys[at:end] {
			if v, ok := m[key]; ok {
				sum += word(&v)
			}
		}
		l = append(l, t.stop()/float64(end-at))
	}
	l.report(cell)
	return sum
}

// zero must not be known to the compiler: each key of chain depends on the value before.
var zero uint64

func chain[K comparable, V any](w *work[K], m map[K]V, word func(*V) uint64) uint64 {
	var l laps
	sum, last := uint64(0), uint64(0)
	for at := 0; at < w.ops; at += lookups {
		end := at + lookups
		if end > w.ops {
			end = w.ops
		}
		t := start()
		for i := at; i < end; i++ {
			v := m[w.hit[uint64(i)+last&zero]]
			last = word(&v)
			sum += last
		}
		l = append(l, t.stop()/float64(end-at))
	}
	l.report("chain")
	return sum
}

func check(what string, got, expected uint64) {
	if got != expected {
		fmt.Fprintf(os.Stderr, "peer_go: wrong answer (%s: %d, not %d)\n", what, got, expected)
		os.Exit(1)
	}
}

func speed[K comparable, V any](w *work[K], value func(K) V, word func(*V) uint64) {
	if w.wants("ins") {
		insert(w, "ins", 0, value)
	}
	if w.wants("res") {
		insert(w, "res", w.n, value)
	}
	m := make(map[K]V)
	fill(m, w.load[:w.n], value)
	runtime.GC() // the maps of the cells before are gone; their collection is theirs, not the look-ups'
	expected := uint64(0)
	for _, key := range w.hit {
		v := value(key)
		expected += word(&v)
	}
	if w.wants("hit") {
		check("hit", lookUp(w, m, "hit", w.hit, word), expected)
	}
	if w.wants("miss") {
		check("miss", lookUp(w, m, "miss", w.miss, word), 0)
	}
	if w.wants("chain") {
		check("chain", chain(w, m, word), expected)
	}
	if w.wants("batch") {
		check("batch", lookUp(w, m, "batch", w.hit, word), expected)
	}
	for _, cell := range []string{"iter", "range"} {
		if !w.wants(cell) {
			continue
		}
		var l laps
		for done := 0; done < w.ops; done += w.n {
			sum := uint64(0)
			t := start()
			for _, v := range m {
				sum += word(&v)
			}
			l = append(l, t.stop()/float64(w.n))
			zero += sum & zero
		}
		l.report(cell)
	}
	window := 0
	if w.wants("churn") {
		var l laps
		steps := w.total - w.n
		for at := 0; at < steps; at += lookups {
			end := at + lookups
			if end > steps {
				end = steps
			}
			t := start()
			for i := at; i < end; i++ {
				delete(m, w.gone[i])
				m[w.gone[i+w.n]] = value(w.gone[i+w.n])
			}
			l = append(l, t.stop()/float64(end-at))
		}
		l.report("churn")
		window = steps
	}
	if w.wants("erase") {
		erase(w, m, window, value)
	}
}

func erase[K comparable, V any](w *work[K], m map[K]V, window int, value func(K) V) {
	var l laps
	for at := 0; at == 0 || at+w.n <= w.total && at < w.ops; at += w.n {
		keys := w.gone[window : window+w.n]
		if at != 0 {
			fill(m, w.load[at:at+w.n], value)
			keys = w.gone[at : at+w.n]
		}
		t := start()
		for _, key := range keys {
			delete(m, key)
		}
		l = append(l, t.stop()/float64(w.n))
		check("erase", uint64(len(m)), 0)
	}
	l.report("erase")
}

// timeEach times every operation. The clock of the whole process says what was taken from Go by others; what
// Go's collector takes stays in.
func timeEach(kind string, n int, op func(i int)) (off float64) {
	const buckets = 64 * 16
	var histogram [buckets]int
	raw, cpu := 0.0, 0.0
	wall0, cpu0 := clock(monotonic), clock(processCPU)
	takeCPU := func() float64 {
		w, c := clock(monotonic), clock(processCPU)
		spent := float64(c - cpu0)
		off += float64(w-wall0) - spent
		wall0, cpu0 = w, c
		return spent
	}
	last := time.Now()
	for i := 0; i < n; i++ {
		op(i)
		now := time.Now()
		ns := float64(now.Sub(last))
		bucket := int(ns)
		if bucket >= 16 {
			e := bits.Len64(uint64(bucket)) - 1
			bucket = (e-3)*16 + int(uint64(ns)>>(e-4)&15)
		}
		histogram[bucket]++
		last = now
		if ns > slowNS {
			spent := takeCPU()
			if ns > raw {
				raw = ns
			}
			if ns < spent {
				spent = ns
			}
			if spent > cpu {
				cpu = spent
			}
			last = time.Now()
		} else if i%64 == 63 {
			takeCPU()
			last = time.Now()
		}
	}
	seen, p := 0, 0.0
	for i := 0; i < buckets && float64(seen) < 0.9999*float64(n); i++ {
		seen += histogram[i]
		p = float64(i + 1)
		if i >= 16 {
			p = float64(16+i%16+1) * float64(uint64(1)<<(i/16-1))
		}
	}
	fmt.Printf("%s_raw %.2f\n%s_cpu %.2f\n%s_9999 %.3f\n", kind, raw/1000, kind, cpu/1000, kind, p/1000)
	return off
}

func worst[K comparable, V any](w *work[K], value func(K) V) {
	m := make(map[K]V)
	off := timeEach("ins", w.n, func(i int) { m[w.load[i]] = value(w.load[i]) })
	off += timeEach("del", w.n, func(i int) { delete(m, w.gone[i]) })
	var usage syscall.Rusage
	syscall.Getrusage(0, &usage)
	fmt.Printf("off_ms %.3f\nswitches %d\n", off/1e6, usage.Nivcsw)
}

func procField(path, field string) float64 {
	text, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, field+":") {
			kb, _ := strconv.ParseFloat(strings.Fields(line)[1], 64)
			return kb * 1024
		}
	}
	return 0
}

func heap() float64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}

func memory[K comparable, V any](w *work[K], value func(K) V) {
	resident := func() float64 { return procField("/proc/self/smaps_rollup", "Anonymous") }
	debug.FreeOSMemory()
	heap0, rss0 := heap(), resident()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
	peak0 := procField("/proc/self/status", "VmHWM")
	m := make(map[K]V)
	fill(m, w.load[:w.n], value)
	peak := procField("/proc/self/status", "VmHWM") - peak0
	fmt.Printf("RSS/entry %.2f\npeak %.2f\n", (resident()-rss0)/float64(w.n), peak/float64(w.n))
	runtime.GC()
	fmt.Printf("B/entry %.2f\n", (heap()-heap0)/float64(w.n))
	left := w.n / 100
	for _, key := range w.gone[:w.n-left] {
		delete(m, key)
	}
	fmt.Printf("99%%_MB %.3f\n99%%_RSS %.3f\n99%%_kept %.2f\n", (heap()-heap0)/1e6, (resident()-rss0)/1e6,
		100*(resident()-rss0)/peak)
	for _, key := range w.gone[w.n-left : w.n] {
		delete(m, key)
	}
	fmt.Printf("100%%_MB %.3f\n100%%_RSS %.3f\n", (heap()-heap0)/1e6, (resident()-rss0)/1e6)
	runtime.KeepAlive(m)
	m = nil
	debug.FreeOSMemory()
	rss0 = resident()
	m = make(map[K]V)
	fill(m, w.load[:w.n], value)
	for _, key := range w.gone[:w.n-left] {
		delete(m, key)
	}
	t := start()
	debug.FreeOSMemory()
	ns := t.stop()
	fmt.Printf("asked %.3f\ncall_ms %.3f\n", (resident()-rss0)/1e6, ns/1e6)
	runtime.KeepAlive(m)
	runtime.KeepAlive(w)
}

func run[K comparable, V any](question string, w *work[K], value func(K) V, word func(*V) uint64) {
	runtime.GC()
	switch question {
	case "map_speed":
		speed(w, value, word)
	case "map_worst":
		worst(w, value)
	case "map_memory":
		memory(w, value)
	}
}

func main() {
	if len(os.Args) != 7 {
		fmt.Fprintln(os.Stderr, "peer_go is started by map_speed, map_worst and map_memory")
		os.Exit(2)
	}
	shape, _ := strconv.Atoi(os.Args[2])
	n, _ := strconv.Atoi(os.Args[3])
	ops, _ := strconv.Atoi(os.Args[4])
	seed, _ := strconv.ParseUint(os.Args[5], 10, 64)
	cells := os.Args[6]
	number := func(i uint64) uint64 { return mix(i + seed) }
	text := func(i uint64) string { return makeText(i, seed) }
	switch shape {
	case 0:
		run(os.Args[1], newWork(n, ops, number, cells), func(k uint64) uint64 { return k + 1 },
			func(v *uint64) uint64 { return *v })
	case 1:
		run(os.Args[1], newWork(n, ops, number, cells),
			func(k uint64) big { return big{k + 1, k, k, k, k, k, k} }, func(v *big) uint64 { return v[0] })
	case 2:
		run(os.Args[1], newWork(n, ops, text, cells), func(k string) uint64 { return uint64(len(k)) },
			func(v *uint64) uint64 { return *v })
	}
}
