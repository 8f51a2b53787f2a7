// The ground truth of the inspector's tests: a program that makes maps of every kind, prints for each what it
// knows (one JSON object a line), says "ready" and then answers "pong" to every line on its standard input,
// until that ends. With the argument "churn" it also writes to two maps as fast as it can.
package main

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"unsafe"
)

type Entry struct {
	Value   []byte
	Expires int64
}

type Cache struct {
	mu    sync.Mutex
	items map[string]*Entry
}

type Node struct {
	id   int
	body []byte
}

type Wide [200]byte

type Point struct{ X, Y int32 }

type Shape interface{ Area() float64 }

type Square struct {
	side  float64
	marks map[string]bool
}

func (s *Square) Area() float64 { return s.side * s.side }

// Held through an array and through two pointers, of whose types a program needs no descriptor.
type Shelf struct {
	label string
	books map[int32]string
}

type Tree struct {
	name string
	kids map[string]*Tree
}

var (
	numbers  map[uint64]uint64
	cache    = &Cache{items: map[string]*Entry{}}
	nodes    map[*Node]struct{}
	wides    map[int]Wide
	wideKeys map[Wide]int
	points   map[Point]string
	ratios   map[float32]uint32 // its groups could be those of alike: only the hashes of the keys tell
	alike    map[int32]uint32
	names    map[string]string
	hashes   map[[16]byte]bool
	floats   map[float64]int
	any1     interface{}
	shape    Shape
	tree     *Tree
	rack     [3]*Shelf
	behind   **Shelf
	growing  map[uint64]*Node
	stale    = map[uint64]*Node{}
	empty    = make(map[string]string)
	tiny     = map[string]int{"a": 1, "b": 2, "c": 3}
	queue    = make(chan map[int]string, 4)
	smalls   []map[string]interface{}
	counter  func() int
	churned  = map[uint64]uint64{}
	guarded  *Node
	early    = func() {} // goroutines, and
	more     = func() {} // what only a newer Go can do
	probes   = func(label string, m interface{}) {}
)

// Twice the entries a bucket at which a classic map grows: 6.5, but 6 in Go 1.21, whose constant was rounded.
func growsAt() int {
	if strings.HasPrefix(runtime.Version(), "go1.21") {
		return 12
	}
	return 13
}

func truth(label, kind string, header unsafe.Pointer, count, peak int) {
	fmt.Printf("{\"label\":%q,\"type\":%q,\"address\":\"%#x\",\"len\":%d,\"peak\":%d}\n",
		label, kind, *(*uintptr)(header), count, peak)
}

func makeNumbers() {
	numbers = make(map[uint64]uint64)
	for i := 0; i < 200000; i++ {
		numbers[uint64(i)*0x9E3779B97F4A7C15|1] = uint64(i) + 1
	}
	for i := 0; i < 200000; i++ {
		if i%100 != 0 {
			delete(numbers, uint64(i)*0x9E3779B97F4A7C15|1)
		}
	}
	truth("numbers", "map[uint64]uint64", unsafe.Pointer(&numbers), len(numbers), 200000)
}

func makeCache() {
	for i := 0; i < 60000; i++ {
		cache.items["session:"+strconv.Itoa(i)] = &Entry{Value: make([]byte, 64), Expires: int64(i)}
	}
	for i := 0; i < 60000; i++ {
		if i%97 != 0 {
			delete(cache.items, "session:"+strconv.Itoa(i))
		}
	}
	truth("cache", "map[string]*main.Entry", unsafe.Pointer(&cache.items), len(cache.items), 60000)
}

func makeKinds() {
	nodes = map[*Node]struct{}{}
	wides, wideKeys = map[int]Wide{}, map[Wide]int{}
	points, hashes = map[Point]string{}, map[[16]byte]bool{}
	names, floats = map[string]string{}, map[float64]int{}
	for i := 0; i < 10000; i++ {
		nodes[&Node{id: i}] = struct{}{}
		wides[i] = Wide{1}
		wideKeys[Wide{byte(i), byte(i >> 8), 1}] = i
		points[Point{int32(i), -1}] = "p"
		hashes[[16]byte{byte(i), byte(i >> 8), 1}] = true
		names["key"+strconv.Itoa(i)] = "value" + strconv.Itoa(i)
	}
	ratios, alike = map[float32]uint32{}, map[int32]uint32{}
	for i := 0; i < 1000; i++ {
		ratios[float32(i)+1] = uint32(i)
		alike[int32(i)] = uint32(i)
	}
	for n := range nodes {
		if n.id%4 != 0 {
			delete(nodes, n)
		}
	}
	for i := 0; i < 9000; i++ {
		delete(wides, i)
		delete(names, "key"+strconv.Itoa(i))
	}
	for i := 0; i < 50; i++ {
		floats[math.NaN()] = i
	}
	truth("nodes", "map[*main.Node]struct {}", unsafe.Pointer(&nodes), len(nodes), 10000)
	truth("wides", "map[int]main.Wide", unsafe.Pointer(&wides), len(wides), 10000)
	truth("wideKeys", "map[main.Wide]int", unsafe.Pointer(&wideKeys), len(wideKeys), 10000)
	truth("points", "map[main.Point]string", unsafe.Pointer(&points), len(points), 10000)
	truth("ratios", "map[float32]uint32", unsafe.Pointer(&ratios), len(ratios), 1000)
	truth("alike", "map[int32]uint32", unsafe.Pointer(&alike), len(alike), 1000)
	truth("names", "map[string]string", unsafe.Pointer(&names), len(names), 10000)
	truth("hashes", "map[[16]uint8]bool", unsafe.Pointer(&hashes), len(hashes), 10000)
	truth("floats", "map[float64]int", unsafe.Pointer(&floats), len(floats), 50)
}

func makeHolders() {
	boxed := map[string]float64{}
	marks := map[string]bool{}
	sent := map[int]string{}
	caught := map[int]int{}
	for i := 0; i < 500; i++ {
		boxed[strconv.Itoa(i)] = float64(i)
		marks[strconv.Itoa(i)] = true
		sent[i] = "x"
		caught[i] = i
	}
	any1, shape = boxed, &Square{2, marks}
	queue <- sent
	counter = func() int { caught[1]++; return len(caught) }
	tree = &Tree{name: "root", kids: map[string]*Tree{}}
	for i := 0; i < 20; i++ {
		kid := &Tree{name: "kid", kids: map[string]*Tree{}}
		for j := 0; j < 20; j++ {
			kid.kids[strconv.Itoa(j)] = &Tree{name: "leaf"}
		}
		tree.kids[strconv.Itoa(i)] = kid
	}
	truth("boxed", "map[string]float64", unsafe.Pointer(&boxed), len(boxed), 500)
	truth("marks", "map[string]bool", unsafe.Pointer(&marks), len(marks), 500)
	truth("sent", "map[int]string", unsafe.Pointer(&sent), len(sent), 500)
	truth("caught", "map[int]int", unsafe.Pointer(&caught), len(caught), 500)
	truth("tree", "map[string]*main.Tree", unsafe.Pointer(&tree.kids), len(tree.kids), 20)
	truth("empty", "map[string]string", unsafe.Pointer(&empty), 0, 0)
	truth("tiny", "map[string]int", unsafe.Pointer(&tiny), len(tiny), 3)
	for i := 0; i < 2000; i++ {
		small := map[string]interface{}{"id": i, "name": "n" + strconv.Itoa(i), "tags": nil}
		if i%5 == 0 {
			delete(small, "tags")
		}
		smalls = append(smalls, small)
	}
	fmt.Printf("{\"label\":\"smalls\",\"type\":\"map[string]interface {}\",\"many\":%d}\n", len(smalls))
}

// A classic map that is left in the middle of its growth; from Go 1.24 on a map has no such state.
func makeGrowing() {
	growing = map[uint64]*Node{}
	for i := 0; i < growsAt()*8192/2+100; i++ {
		growing[uint64(i)] = &Node{id: i}
	}
	truth("growing", "map[uint64]*main.Node", unsafe.Pointer(&growing), len(growing), len(growing))
}

// A range loop over a classic map that grows meanwhile: the values that it deletes stay alive until the growth
// ends, 1500 nodes with a body each.
func makeStale() {
	for i := 0; i < growsAt()*4096/2; i++ {
		stale[uint64(i)] = &Node{id: i, body: make([]byte, 4096)}
	}
	n := 0
	for range stale {
		if n++; n < 10 {
			continue
		}
		for j := 0; j < 300; j++ {
			stale[uint64(1000000+j)] = &Node{id: j}
		}
		for j := 0; j < 1500; j++ {
			delete(stale, uint64(j))
		}
		break
	}
	truth("stale", "map[uint64]*main.Node", unsafe.Pointer(&stale), len(stale), growsAt()*4096/2)
}

// A map that nothing holds but the function of a finalizer, whose object stays alive.
//
//go:noinline
func makeFinal() {
	final := map[int]*Node{}
	for i := 0; i < 100; i++ {
		final[i] = &Node{id: i}
	}
	guarded = &Node{id: 1}
	runtime.SetFinalizer(guarded, func(*Node) { fmt.Fprintln(os.Stderr, len(final)) })
	truth("final", "map[int]*main.Node", unsafe.Pointer(&final), len(final), 100)
}

func makeShelf(label string) *Shelf {
	shelf := &Shelf{label: label, books: map[int32]string{}}
	for i := int32(0); i < 50; i++ {
		shelf.books[i] = "book"
	}
	truth(label, "map[int32]string", unsafe.Pointer(&shelf.books), len(shelf.books), 50)
	return shelf
}

func makeShelves() {
	rack[1] = makeShelf("on the rack")
	shelf := makeShelf("behind")
	behind = &shelf
}

func tellProbes() {
	probes("numbers", numbers)
	probes("names", names)
	probes("hashes", hashes)
	probes("points", points)
}

//go:noinline
func makeKept() map[int]*Node {
	kept := map[int]*Node{}
	for i := 0; i < 300; i++ {
		kept[i] = &Node{id: i}
	}
	return kept
}

//go:noinline
func holdOnStack(begin, started, done chan bool) {
	scrub()
	<-begin
	kept := makeKept() // held by nothing but this frame
	truth("kept", "map[int]*main.Node", unsafe.Pointer(&kept), len(kept), 300)
	local := make(map[uint32]string)
	for i := 0; i < 3000; i++ {
		local[uint32(i)] = "v"
	}
	for i := 0; i < 2900; i++ {
		delete(local, uint32(i))
	}
	truth("local", "map[uint32]string", unsafe.Pointer(&local), len(local), 3000)
	started <- true
	<-done
	sum := len(kept)
	for k, v := range local {
		sum += int(k) + len(v)
	}
	fmt.Fprintln(os.Stderr, sum)
}

// What the two sides of a diff differ by: 300 of the 2000 numbers deleted and 50 others added, 40 points added, one
// map dropped.
func change() {
	for i := 0; i < 30000; i += 100 {
		delete(numbers, uint64(i)*0x9E3779B97F4A7C15|1)
	}
	for i := 0; i < 50; i++ {
		numbers[uint64(i)*2] = 1
	}
	for i := 0; i < 40; i++ {
		points[Point{int32(i), 1}] = "new"
	}
	wideKeys = nil
	runtime.GC()
	runtime.GC()
}

func churn() {
	for i := uint64(0); ; i++ {
		churned[i] = i
		cache.items["churn:"+strconv.FormatUint(i, 10)] = &Entry{Expires: int64(i)}
		if i > 50000 {
			delete(churned, i-50000)
			delete(cache.items, "churn:"+strconv.FormatUint(i-50000, 10))
		}
	}
}

// Clears the stack as deep as anything here has used it. Called first it makes the stack as large as it will be, so that
// no smaller one with addresses in it is left for another goroutine to begin on.
//
//go:noinline
func scrub() byte {
	var room [48 << 10]byte
	for i := range room {
		room[i] = byte(len(names))
	}
	return room[len(room)/2]
}

// The runtime's own goroutines begin now: later their stacks could lie where a map's array was, and hold words of it.
func startAll() {
	early()
	runtime.SetFinalizer(&Node{}, func(*Node) {})
	runtime.GC()
	runtime.GC()
}

func makeAll(made chan bool) {
	scrub()
	makeNumbers()
	makeFinal()
	more()
	makeCache()
	makeKinds()
	makeHolders()
	makeGrowing()
	makeStale()
	makeShelves()
	tellProbes()
	scrub()
	made <- true
}

func main() {
	made, begin, started, done := make(chan bool), make(chan bool), make(chan bool), make(chan bool)
	startAll()
	go holdOnStack(begin, started, done)
	go makeAll(made) // on a stack of its own: what it leaves there is gone with it
	<-made
	begin <- true
	<-started
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Printf("{\"label\":\"memstats\",\"go\":%q,\"objects\":%d,\"bytes\":%d}\n",
		runtime.Version(), stats.HeapObjects, stats.HeapAlloc)
	if len(os.Args) > 1 && os.Args[1] == "churn" {
		truth("churned", "map[uint64]uint64", unsafe.Pointer(&churned), len(churned), 0)
		go churn()
	}
	fmt.Println("ready")
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		if input.Text() == "change" {
			change()
		}
		fmt.Println("pong")
	}
	close(done)
	runtime.KeepAlive(shape)
	fmt.Fprintln(os.Stderr, counter(), any1, len(smalls), len(tree.kids))
}
